"""Looks at the pages of rsw report in headless Chromium, and compares their numbers with PyTorch.

    tools/python tools/check_report.py [--models NAMES] [--rsw PATH] [--screenshots FOLDER]

For a model of each kind: every layer is listed; parameters, arithmetic, ranges, classes and activations are PyTorch's
(report_numbers.py). Of every page: nothing is logged, thrown or asked of the network; nothing is wider than a phone; texts
stand out from what is behind them in light and dark; pictures, tables and landmarks have names; the keyboard reaches and
works what there is; it prints. Files whose names and metadata are HTML stay text. The exit status is 1 if anything of this
does not hold.
"""

import argparse
import base64
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

# Before timm, as it makes torchvision fit to be imported.
from family_models import all_models  # isort: skip
from browser import Browser
from report_numbers import number_complaints
from torchvision_models import randomize

ROOT = Path(__file__).resolve().parent.parent
SEED = 1
# Bytes that the page of a ResNet-50 may have, with an image
LARGEST_PAGE = 1_000_000
# WCAG 2.2, level AA, for text of normal size
CONTRAST = 4.5
PHONE, DESK = 360, 1280
# Pixels of a layer's name, with its kind below it
HIGHEST_NAME = 100
CAPTION = "document.querySelector('.layers caption').textContent"
PHOTO = ROOT / "Fixtures/photos/good/rgb.jpg"

MODELS = (
    "torchvision/resnet50", "torchvision/resnext50_32x4d", "timm/resnet18d", "timm/resnet50_gn", "timm/seresnext26t_32x4d",
    "timm/ecaresnet26t", "timm/ecaresnet50d_pruned", "timm/resnetblur50d", "timm/resnetrs50", "timm/test_resnet",
    "CIFAR/cifar_resnet20",
)  # fmt: skip

HOSTILE = "</title></style></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;"

# The lowest contrast of any text with what is behind it.
LOWEST_CONTRAST = """(() => {
  const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const light = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color[3] === 1) return color;
    }
    return [255, 255, 255, 1];
  };
  let lowest = [21, ""];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest("script,title,desc")) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(parse(element.closest("svg") ? style.fill : style.color)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < lowest[0]) lowest = [contrast, walker.currentNode.data];
  }
  return lowest;
})()"""

# What has no name that can be read out.
NAMELESS = """[
  ...[...document.querySelectorAll("img")].filter(e => !e.alt),
  ...[...document.querySelectorAll("svg")].filter(e => e.getAttribute("role") !== "img" || !e.querySelector("title")?.textContent),
  ...[...document.querySelectorAll("thead th, tbody th:first-child")].filter(e => !e.scope),
  ...[...document.querySelectorAll("section, nav, [role=region]")].filter(e =>
    !e.getAttribute("aria-label") && !document.getElementById(e.getAttribute("aria-labelledby"))),
  ...[...document.querySelectorAll("[tabindex='0'],a,button,summary")].filter(e => !e.textContent.trim()),
].map(e => e.outerHTML.slice(0, 120))"""


def make_page(rsw, model, folder, *options):
    page = folder / "report.html"
    command = [rsw, "report", model, "-o", page, "--force", "--repeat", "2", *options]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return page


def look(browser, page, screenshots=None, name=""):
    """What does not hold of a page, whatever it is about."""
    complaints = []
    backgrounds = []
    browser.forget()
    browser.show(DESK)
    browser.open(page)
    browser.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    for width, scheme in ((DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")):
        browser.show(width, scheme=scheme)
        place = f"{width} pixels, {scheme}"
        wide = browser.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            complaints.append(f"{place}: the page is {wide} pixels wide")
        high = browser.evaluate("Math.max(...[...document.querySelectorAll('.named tbody th')].map(e => e.offsetHeight))")
        if high > HIGHEST_NAME:
            complaints.append(f"{place}: a layer's name is broken into lines of {high} pixels")
        contrast, text = browser.evaluate(LOWEST_CONTRAST)
        if contrast < CONTRAST:
            complaints.append(f"{place}: a contrast of {contrast:.2f} at {text!r}")
        backgrounds.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
        if screenshots:
            save_screenshot(browser, screenshots / f"{name}-{width}-{scheme}.png", width)
    if backgrounds[0] == backgrounds[1]:
        complaints.append("light and dark look the same")
    complaints += [f"without a name: {element}" for element in browser.evaluate(NAMELESS)]
    levels = browser.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(e => +e.tagName[1])")
    if levels.count(1) != 1 or any(b > a + 1 for a, b in zip(levels, levels[1:])):
        complaints.append(f"headings of levels {levels}")
    if browser.evaluate("document.querySelectorAll('main').length") != 1:
        complaints.append("not one main landmark")
    complaints += keyboard_complaints(browser, page) + print_complaints(browser, screenshots, name)
    complaints += browser.complaints
    asked = [url for url in browser.requests if not url.startswith("data:") and url != page.resolve().as_uri()]
    return complaints + [f"it asks for {url}" for url in asked]


def save_screenshot(browser, path, width):
    height = min(browser.evaluate("document.documentElement.scrollHeight"), 8000)
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    picture = browser.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
    path.write_bytes(base64.b64decode(picture["data"]))


def keyboard_complaints(browser, page):
    """The keyboard alone: skip link, folded parts, sorting; focus can be seen wherever it is."""
    complaints = []
    browser.show(DESK)
    browser.open(page)
    browser.press("Tab")
    if browser.evaluate("document.activeElement.className") != "skip":
        complaints.append("the first Tab does not reach the link that skips to the report")
    if browser.evaluate("document.activeElement.getBoundingClientRect().left") < 0:
        complaints.append("the link that skips can't be seen when it has the focus")
    browser.press("Enter")
    if browser.evaluate("document.activeElement.id") != "main":
        complaints.append("Enter on it does not skip")

    browser.open(page)
    wanted = set(browser.evaluate("[...document.querySelectorAll('a,button,summary')].map(e => e.textContent)"))
    reached, unseen = set(), set()
    for _ in range(len(wanted) + 20):
        browser.press("Tab")
        text, outline, is_over = browser.evaluate("""(e => [e === document.body ? "" : e.textContent.slice(0, 80),
            getComputedStyle(e).outlineStyle, e === document.body])(document.activeElement)""")
        if is_over:
            break
        reached.add(text)
        if outline == "none":
            unseen.add(text)
    complaints += [f"Tab does not reach {text!r}" for text in sorted(wanted - reached)]
    complaints += [f"the focus can't be seen at {text!r}" for text in sorted(unseen)]

    browser.evaluate("document.querySelector('summary').focus()")
    browser.press("Enter")
    if not browser.evaluate("document.querySelector('details').open"):
        complaints.append("Enter does not unfold the first stage")
    caption = browser.evaluate(CAPTION)
    parameters = "[...document.querySelectorAll('.layers tbody tr:not(.stage)')].map(r => r.cells[2].textContent)"
    order = browser.evaluate(parameters)
    numbers = sorted((int(text.replace(",", "")) for text in order if text), reverse=True)
    browser.evaluate("document.querySelector('.layers button').focus()")
    for direction, expected in (("descending", numbers), ("ascending", numbers[::-1])):
        browser.press("Enter")
        now = [int(text.replace(",", "")) for text in browser.evaluate(parameters) if text]
        told = browser.evaluate("document.querySelector('.layers button').closest('th').ariaSort")
        first = "largest first" if direction == "descending" else "smallest first"
        if now != expected or told != direction or first not in browser.evaluate(CAPTION):
            complaints.append(f"the layers are not in {direction} order of parameters, or it is not told ({told})")
    browser.press("Enter")
    if browser.evaluate(parameters) != order or browser.evaluate(CAPTION) != caption:
        complaints.append("the order of the network does not come back")
    return complaints


def print_complaints(browser, screenshots, name):
    pdf = base64.b64decode(browser.call("Page.printToPDF")["data"])
    if screenshots:
        (screenshots / f"{name}.pdf").write_bytes(pdf)
    # A page of a ResNet has more layers than fit on a sheet.
    return [] if pdf.startswith(b"%PDF") and pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") > 1 else [
        "it does not print on several sheets"]


def hostile_complaints(rsw, browser, network, folder):
    """HTML in names and metadata, and weights that are no numbers."""
    state = network.state_dict()
    state["layer1.0.conv1.weight"][3] = 0
    state["layer1.0.bn1.weight"][5] = 0
    state["layer2.0.conv1.weight"][0, 0, 0, 0] = float("nan")
    state["layer2.0.conv1.weight"][0, 0, 0, 1] = float("inf")
    state["layer3.0.conv1.weight"][:] = float("nan")
    state["layer4.0.bn1.running_var"][0] = -1
    state["fc.weight"][0, 0] = 3e38
    state["fc.weight"][0, 1] = -3e38
    path = folder / "<b>hostile & 'quoted'.safetensors"
    save_file({f"{HOSTILE}.{key}": value.contiguous() for key, value in state.items()}, path, {"note": HOSTILE})
    page = make_page(rsw, path, folder)
    complaints = look(browser, page)
    shown = browser.evaluate("document.body.textContent")
    if HOSTILE not in shown or "<b>hostile & 'quoted'" not in shown:
        complaints.append("names or metadata are not shown as they are")
    if browser.evaluate("document.scripts.length") != 1 or browser.evaluate("document.querySelectorAll('img[src=x]').length"):
        complaints.append("names or metadata become elements")
    cells = browser.evaluate("""Object.fromEntries([...document.querySelectorAll('.layers tbody tr:not(.stage)')].map(row =>
        [row.querySelector('code')?.textContent, [...row.cells].map(cell => cell.textContent)]))""")
    wanted = {"layer1.0.conv1": (7, "1"), "layer1.0.bn1": (7, "1"), "layer2.0.conv1": (5, "2 not finite"),
              "layer3.0.conv1": (5, "no finite values"), "layer4.0.bn1": (7, "0")}
    for layer, (column, text) in wanted.items():
        if text not in cells[layer][column]:
            complaints.append(f"{layer}: {cells[layer][column]!r} where {text!r} is due")
    if "-1 negative" not in browser.evaluate("document.getElementById('norms').textContent"):
        complaints.append("a negative variance is not told")
    return complaints


def photo_complaints(rsw, browser, model, folder):
    """A photo is prepared as rsw classify prepares it, and its classes are called as there."""
    page = make_page(rsw, model, folder, "--image", PHOTO)
    complaints = look(browser, page)
    done = subprocess.run([rsw, "classify", model, PHOTO, "--json"], check=True, capture_output=True, text=True)
    best = json.loads(done.stdout)["predictions"]
    rows = browser.evaluate("[...document.querySelectorAll('#answer tbody tr')].map(row => row.textContent)")
    for row, prediction in zip(rows, best, strict=True):
        words = (prediction["label"], f"class {prediction['class']}", f"{100 * prediction['probability']:.2f} %")
        complaints += [f"{word!r} is not in {row!r}" for word in words if word not in row]
    return complaints


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--rsw", default=ROOT / "tools/rsw")
    parser.add_argument("--screenshots", type=Path, help="where to keep what the pages look like")
    options = parser.parse_args()
    if options.screenshots:
        options.screenshots.mkdir(parents=True, exist_ok=True)
    failed = False

    def tell(name, complaints, page=None):
        nonlocal failed
        failed |= bool(complaints)
        size = f", {page.stat().st_size / 1000:.0f} kB" if page else ""
        print(f"{name}{size}: {'holds' if not complaints else 'FAILS'}", flush=True)
        for complaint in complaints:
            print(f"  {complaint}", flush=True)

    models = {model.key: model for model in all_models()}
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        folder = Path(folder)
        for key in options.models:
            model = models[key]
            torch.manual_seed(SEED)
            network = model.build().eval()
            randomize(network, SEED)
            path = folder / Path(model.file).name
            model.save(network, path)
            size = 32 if model.size == 32 else 96
            image = torch.randn(1, 3, size, size)
            np.save(folder / "x.npy", image.numpy())
            page = make_page(options.rsw, path, folder, "--input", folder / "x.npy")
            complaints = look(browser, page, options.screenshots, model.name)
            browser.show(DESK)
            browser.open(page)
            complaints += number_complaints(browser, network, image)
            if key == "torchvision/resnet50":
                np.save(folder / "large.npy", torch.randn(1, 3, 224, 224).numpy())
                page = make_page(options.rsw, path, folder, "--input", folder / "large.npy")
                if page.stat().st_size > LARGEST_PAGE:
                    complaints.append(f"the page of a ResNet-50 has {page.stat().st_size} bytes")
                complaints += photo_complaints(options.rsw, browser, path, folder)
            tell(key, complaints, page)
            path.unlink()
        network = models["torchvision/resnet18"].build()
        tell("HTML in names and metadata, weights that are no numbers", hostile_complaints(options.rsw, browser, network, folder))
    sys.exit(failed)


if __name__ == "__main__":
    main()
