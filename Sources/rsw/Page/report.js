// The page is complete without this: it lets the columns of the layers be sorted, and opens what is folded for printing.
(() => {
  const table = document.querySelector("table.layers");
  const network = [...table.tBodies];
  const rows = network.flatMap(body => [...body.rows].filter(row => !row.classList.contains("stage")));
  const homes = rows.map(row => row.parentNode);
  const caption = table.caption.textContent;
  const sorted = document.createElement("tbody");
  const number = (row, column) => parseFloat(row.cells[column].dataset.v ?? row.cells[column].textContent.replace(/,/g, ""));

  function order(column, direction) {
    for (const head of table.tHead.rows[0].cells) head.removeAttribute("aria-sort");
    table.caption.textContent = caption;
    if (!direction) {
      rows.forEach((row, place) => homes[place].append(row));
      sorted.replaceWith(...network);
      return;
    }
    const head = table.tHead.rows[0].cells[column];
    head.setAttribute("aria-sort", direction);
    table.caption.textContent =
      `All ${rows.length} layers, by ${head.textContent}, ${direction === "ascending" ? "smallest" : "largest"} first`;
    const sign = direction === "ascending" ? 1 : -1;
    const keyed = rows.map(row => [number(row, column), row]);
    keyed.sort(([a], [b]) => isNaN(a) - isNaN(b) || sign * (a - b) || 0);
    sorted.replaceChildren(...keyed.map(([, row]) => row));
    network.forEach(body => body.remove());
    table.append(sorted);
  }

  for (const head of table.tHead.rows[0].cells) {
    if (!head.classList.contains("n")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.title = "sort: largest first, smallest first, order of the network";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { descending: "ascending", ascending: "" };
      order(head.cellIndex, next[head.getAttribute("aria-sort")] ?? "descending");
    });
  }

  const folded = [...document.querySelectorAll("details")];
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = folded.filter(part => !part.open);
    for (const part of closed) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of closed) part.open = false; });
})();
