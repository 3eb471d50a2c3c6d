// libcurl, opened when the first download starts: programs that download nothing don't load it, and building needs
// neither its headers nor its package. Every system that has git or curl has it. All that is unsafe about it is here.

import CCurl
import Checkpoints

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The functions of libcurl.
///
/// `@unchecked`: these are addresses of functions that may be called from any thread, and they never change.
struct CurlLibrary: @unchecked Sendable {
  private typealias Handle = UnsafeMutableRawPointer
  private typealias List = UnsafeMutableRawPointer

  private let easyInit: @convention(c) () -> Handle?
  private let easyCleanup: @convention(c) (Handle) -> Void
  private let easyPerform: @convention(c) (Handle) -> CInt
  private let easyError: @convention(c) (CInt) -> UnsafePointer<CChar>?
  private let appendToList: @convention(c) (List?, UnsafePointer<CChar>) -> List?
  private let freeList: @convention(c) (List?) -> Void
  /// Called with a variable number of arguments, by way of CCurl.
  private let setOption: UnsafeMutableRawPointer

  /// Debian's git brings the variant with GnuTLS, everything else the one with OpenSSL; macOS has its own.
  private static let names = [
    "libcurl.so.4", "libcurl-gnutls.so.4", "/usr/lib/libcurl.4.dylib",
  ]

  /// The library; nil where there is none.
  static let installed = CurlLibrary()

  private init?() {
    guard let library = CurlLibrary.names.lazy.compactMap({ dlopen($0, RTLD_NOW | RTLD_LOCAL) }).first else {
      return nil
    }
    guard let globalInit = dlsym(library, "curl_global_init"),
      let easyInit = dlsym(library, "curl_easy_init"),
      let easyCleanup = dlsym(library, "curl_easy_cleanup"),
      let easyPerform = dlsym(library, "curl_easy_perform"),
      let easyError = dlsym(library, "curl_easy_strerror"),
      let appendToList = dlsym(library, "curl_slist_append"),
      let freeList = dlsym(library, "curl_slist_free_all"), let setOption = dlsym(library, "curl_easy_setopt")
    else { return nil }
    // The types are those of curl/curl.h.
    let initialise = unsafeBitCast(globalInit, to: (@convention(c) (CLong) -> CInt).self)
    guard initialise(CLong(curl_global_all)) == 0 else { return nil }
    self.easyInit = unsafeBitCast(easyInit, to: (@convention(c) () -> Handle?).self)
    self.easyCleanup = unsafeBitCast(easyCleanup, to: (@convention(c) (Handle) -> Void).self)
    self.easyPerform = unsafeBitCast(easyPerform, to: (@convention(c) (Handle) -> CInt).self)
    self.easyError = unsafeBitCast(easyError, to: (@convention(c) (CInt) -> UnsafePointer<CChar>?).self)
    self.appendToList = unsafeBitCast(
      appendToList, to: (@convention(c) (List?, UnsafePointer<CChar>) -> List?).self)
    self.freeList = unsafeBitCast(freeList, to: (@convention(c) (List?) -> Void).self)
    self.setOption = setOption
  }

  /// Sends a GET request and gives what comes back to `exchange`. Proxies are those of the environment
  /// (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`).
  func perform(_ request: HTTPRequest, _ exchange: HTTPExchange) -> CurlOutcome {
    guard let handle = easyInit() else { return CurlOutcome(code: CurlOutcome.outOfMemory, message: "") }
    defer { easyCleanup(handle) }
    func set(_ option: curl_option, _ number: Int) { _ = curl_set_number(setOption, handle, option, number) }

    request.url.withCString { _ = curl_set_pointer(setOption, handle, curl_option_url, $0) }
    "rsw/\(rswVersion)".withCString { _ = curl_set_pointer(setOption, handle, curl_option_user_agent, $0) }
    let https = Int(curl_protocol_https.rawValue)
    let any = https | Int(curl_protocol_http.rawValue)
    set(curl_option_protocols, any)
    // What was asked for over TLS may not be answered without it.
    set(curl_option_redirect_protocols, request.url.lowercased().hasPrefix("https:") ? https : any)
    set(curl_option_follow_location, 1)
    set(curl_option_most_redirects, request.mostRedirects)
    set(curl_option_connect_timeout, request.connectSeconds)
    set(curl_option_low_speed_limit, 1)
    set(curl_option_low_speed_time, request.stallSeconds)
    // The variables that the curl program looks at; the library leaves that to its callers.
    if let file = environment("CURL_CA_BUNDLE") ?? environment("SSL_CERT_FILE") {
      file.withCString { _ = curl_set_pointer(setOption, handle, curl_option_certificates, $0) }
    }

    var lines: List?
    defer { freeList(lines) }
    for line in request.headerLines { lines = appendToList(lines, line) ?? lines }
    if let lines { _ = curl_set_pointer(setOption, handle, curl_option_header_lines, lines) }

    // The exchange lives until the end of this call, and libcurl calls back only on this thread and within it.
    let target = Unmanaged.passUnretained(exchange).toOpaque()
    _ = curl_set_pointer(setOption, handle, curl_option_header_target, target)
    _ = curl_set_pointer(setOption, handle, curl_option_write_target, target)
    _ = curl_set_pointer(setOption, handle, curl_option_progress_target, target)
    set(curl_option_no_progress, 0)
    _ = curl_set_data_function(setOption, handle, curl_option_header_function) { bytes, size, count, target in
      guard let exchange = CurlLibrary.exchange(target) else { return 0 }
      exchange.add(headerLine: UnsafeRawBufferPointer(start: bytes, count: size * count))
      return size * count
    }
    _ = curl_set_data_function(setOption, handle, curl_option_write_function) { bytes, size, count, target in
      guard let exchange = CurlLibrary.exchange(target) else { return 0 }
      return exchange.receive(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
    }
    _ = curl_set_progress_function(setOption, handle) { target, _, _, _, _ in
      CurlLibrary.exchange(target)?.isCancelled() == false ? 0 : 1
    }

    var text = [CChar](repeating: 0, count: Int(curl_error_text_size))
    let code = text.withUnsafeMutableBufferPointer { text in
      _ = curl_set_pointer(setOption, handle, curl_option_error_text, text.baseAddress)
      return withExtendedLifetime(exchange) { easyPerform(handle) }
    }
    var message = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    if message.isEmpty, let general = easyError(code) { message = String(cString: general) }
    return CurlOutcome(code: code, message: message)
  }

  private static func exchange(_ target: UnsafeMutableRawPointer?) -> HTTPExchange? {
    target.map { Unmanaged<HTTPExchange>.fromOpaque($0).takeUnretainedValue() }
  }
}
