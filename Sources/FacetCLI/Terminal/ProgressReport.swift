import Files
import Foundation
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Tells how far a long piece of work is: a bar that is redrawn on a terminal, and a plain line now
/// and then where the output is a file or a pipe. Both go to standard error.
///
///     train  45% ███████████░░░░░░░░░░░░░  45000/100000  512 images/s  ETA 1:47  loss 1.31
///
/// Calls may come from any thread.
final class ProgressReport: Sendable {
  /// What the report shows and where.
  private let label: String
  private let unit: String
  private let total: Int?
  private let columns: Int?
  private let interval: Duration
  private let write: @Sendable (String) -> Void
  private let now: @Sendable () -> ContinuousClock.Instant
  private let state: Mutex<State>

  private struct State {
    var start: ContinuousClock.Instant
    /// Units done before this run, which say nothing about its speed.
    var initial: Int
    var completed: Int
    /// The share of the work that is done, 0 ... 1, where it is known.
    var share: Double?
    var detail = ""
    var lastLine: ContinuousClock.Instant?
    /// Recent points of the last half minute or so, for the present speed.
    var recent: [(time: ContinuousClock.Instant, completed: Int, share: Double?)]
    var isFinished = false
  }

  /// - Parameters:
  ///   - label: The name of the work, such as "train".
  ///   - total: The number of units, or nil where it is not known (no bar and no ETA then).
  ///   - unit: What is counted.
  ///   - completed: Units that an earlier run has done.
  ///   - share: The share of the work that an earlier run has done, 0 ... 1, where it is not units that decide it.
  ///   - interval: The time between plain lines, 10 seconds by default.
  convenience init(
    _ label: String, total: Int?, unit: String = "images", completed: Int = 0, share: Double? = nil,
    interval: Duration = .seconds(10)
  ) {
    self.init(
      label, total: total, unit: unit, completed: completed, share: share, interval: interval,
      columns: Self.terminalColumns(),
      now: { .now }, write: { try? FileHandle.standardError.write(contentsOf: Data($0.utf8)) })
  }

  /// - Parameter columns: The terminal's width, or nil for plain lines.
  init(
    _ label: String, total: Int?, unit: String, completed: Int, share: Double? = nil, interval: Duration, columns: Int?,
    now: @escaping @Sendable () -> ContinuousClock.Instant, write: @escaping @Sendable (String) -> Void
  ) {
    self.label = label
    self.total = total
    self.unit = unit
    self.columns = columns
    self.interval = columns == nil ? interval : .milliseconds(100)
    self.now = now
    self.write = write
    let start = now()
    let share = share ?? Self.share(completed, of: total)
    state = Mutex(
      State(
        start: start, initial: completed, completed: completed, share: share, recent: [(start, completed, share)]))
  }

  /// Tells that `completed` units are done, with a word on how it goes, such as "loss 1.31".
  /// - Parameter share: The share of the work that is done, 0 ... 1, where it is not units that decide it, but time.
  /// - Parameter completed: what was done before, in an earlier run.
  /// - Parameter detail: what stands behind the figures.
  func update(_ completed: Int, share: Double? = nil, detail: String = "") {
    state.withLock { state in
      guard !state.isFinished else { return }
      let time = now()
      state.completed = completed
      state.share = share ?? Self.share(completed, of: total)
      state.detail = detail
      if let last = state.recent.last, time - last.time >= .milliseconds(500) {
        state.recent.append((time, completed, state.share))
        if state.recent.count > 60 { state.recent.removeFirst() }
      }
      if let last = state.lastLine, time - last < interval { return }
      state.lastLine = time
      show(state, at: time)
    }
  }

  /// Prints a line of its own, such as a validation result, without disturbing the bar.
  func note(_ line: String) {
    let line = line.visible()
    state.withLock { state in
      write(columns == nil ? line + "\n" : "\r\u{1B}[K" + line + "\n")
      if columns != nil, !state.isFinished, state.lastLine != nil { show(state, at: now()) }
    }
  }

  /// Shows the last state and ends the line; further updates are ignored.
  func finish() {
    state.withLock { state in
      guard !state.isFinished else { return }
      state.isFinished = true
      show(state, at: now())
      if columns != nil { write("\n") }
    }
  }

  private static func share(_ completed: Int, of total: Int?) -> Double? {
    total.map { $0 > 0 ? min(1, max(0, Double(completed) / Double($0))) : 1 }
  }

  private func show(_ state: State, at time: ContinuousClock.Instant) {
    // The last line tells the speed of the whole; the others that of the last half minute.
    let recent = state.recent[0]
    let origin = state.isFinished ? (state.start, state.initial) : (recent.time, recent.completed)
    let seconds = (time - origin.0) / .seconds(1)
    let rate = seconds > 0 ? Double(state.completed - origin.1) / seconds : 0
    var parts: [String] = []
    if rate > 0 { parts.append("\(Self.format(rate)) \(unit)/s") }
    if state.isFinished {
      parts.append("in \(Self.clock((time - state.start) / .seconds(1)))")
    } else if let share = state.share, let before = recent.share, share > before {
      parts.append("ETA \(Self.clock((1 - share) / (share - before) * seconds))")
    }
    if !state.detail.isEmpty { parts.append(state.detail) }
    let counts = total.map { "\(state.completed)/\($0)" } ?? "\(state.completed)"
    let percent = state.share.map { String(format: "%3d%%", Int($0 * 100)) }
    guard let columns else {
      return write(([label, percent, counts].compactMap { $0 } + parts).joined(separator: "  ") + "\n")
    }
    let bar = state.share.map { share in
      let filled = Int(share * 24)
      return String(repeating: "█", count: filled) + String(repeating: "░", count: 24 - filled)
    }
    let head = [label, percent, bar].compactMap { $0 }.joined(separator: " ")
    let line = ([head, counts] + parts).joined(separator: "  ")
    // A line that wraps could not be drawn over.
    write("\r\u{1B}[K" + line.prefix(max(1, columns - 1)))
  }

  private static func format(_ rate: Double) -> String {
    rate >= 100 ? String(Int(rate.rounded())) : String(format: rate >= 10 ? "%.1f" : "%.2f", rate)
  }

  /// h:mm:ss, or m:ss under an hour.
  private static func clock(_ seconds: Double) -> String {
    let total = Int(min(max(seconds, 0), 1e7).rounded())
    let (hours, minutes) = (total / 3600, total / 60 % 60)
    return hours > 0
      ? String(format: "%d:%02d:%02d", hours, minutes, total % 60) : String(format: "%d:%02d", minutes, total % 60)
  }

  /// The width of the terminal that standard error is, or nil where it is none.
  private static func terminalColumns() -> Int? {
    guard isatty(STDERR_FILENO) == 1 else { return nil }
    var size = winsize()
    return ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
  }
}
