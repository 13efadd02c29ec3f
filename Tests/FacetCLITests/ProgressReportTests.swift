import Foundation
import Synchronization
import Testing

@testable import FacetCLI

struct ProgressReportTests {
  /// A clock that the test sets, and what was written.
  private final class Stage: Sendable {
    let start = ContinuousClock.now
    let seconds = Mutex(0.0)
    let text = Mutex("")

    func report(_ total: Int?, completed: Int = 0, share: Double? = nil, columns: Int?) -> ProgressReport {
      ProgressReport(
        "train", total: total, unit: "images", completed: completed, share: share, interval: .seconds(10), columns: columns,
        now: { self.start + .seconds(self.seconds.withLock { $0 }) },
        write: { text in self.text.withLock { $0 += text } })
    }

    func at(_ time: Double) { seconds.withLock { $0 = time } }
    var lines: [String] { text.withLock { $0 }.split(separator: "\n").map(String.init) }
  }

  @Test func logGetsPlainLinesNowAndThen() {
    let stage = Stage()
    let report = stage.report(1000, columns: nil)
    for second in 1...25 {
      stage.at(Double(second))
      report.update(second * 20, detail: "loss 1.5")
    }
    report.finish()
    report.update(999)
    #expect(stage.lines == [
      "train    2%  20/1000  20.0 images/s  ETA 0:49  loss 1.5",
      "train   22%  220/1000  20.0 images/s  ETA 0:39  loss 1.5",
      "train   42%  420/1000  20.0 images/s  ETA 0:29  loss 1.5",
      "train   50%  500/1000  20.0 images/s  in 0:25  loss 1.5",
    ])
  }

  @Test func terminalGetsABarThatFits() {
    let stage = Stage()
    let report = stage.report(100, columns: 40)
    stage.at(2)
    report.update(50)
    report.note("val 0.9")
    report.finish()
    let text = stage.text.withLock { $0 }
    #expect(text.contains("train  50% ████████████░░░░░░░░░░░░"))
    #expect(text.contains("\r\u{1B}[Kval 0.9\n"))
    #expect(text.hasSuffix("\n"))
    for piece in text.split(whereSeparator: { $0 == "\r" || $0 == "\n" }) {
      #expect(piece.replacingOccurrences(of: "\u{1B}[K", with: "").count <= 39)
    }
  }

  @Test func resumedWorkDoesNotCountAsSpeed() {
    let stage = Stage()
    let report = stage.report(10_000, completed: 5000, columns: nil)
    stage.at(10)
    report.update(5100)
    #expect(stage.lines == ["train   51%  5100/10000  10.0 images/s  ETA 8:10"])
  }

  @Test func unknownTotalHasNeitherBarNorETA() {
    let stage = Stage()
    let report = stage.report(nil, columns: nil)
    stage.at(4000)
    report.update(2000)
    report.finish()
    #expect(stage.lines == ["train  2000  0.50 images/s", "train  2000  0.50 images/s  in 1:06:40"])
  }

  @Test func timeCanBeTheBudget() {
    let stage = Stage()
    let report = stage.report(nil, completed: 700, share: 0.4, columns: nil)
    stage.at(10)
    report.update(720, share: 0.5)
    stage.at(20)
    report.update(740, share: 0.6)
    report.finish()
    #expect(stage.lines == [
      "train   50%  720  2.00 images/s  ETA 0:50", "train   60%  740  2.00 images/s  ETA 0:40",
      "train   60%  740  2.00 images/s  in 0:20",
    ])
  }
}
