import Foundation
import Synchronization

/// Counters, gauges and times, told in Prometheus' text format 0.0.4.
final class Metrics: Sendable {
  private struct Histogram {
    var counts: [Int]
    var sum = 0.0
    var count = 0
  }

  private struct State {
    /// By name and labels.
    var counters: [String: [String: Int]] = [:]
    var histograms: [String: [String: Histogram]] = [:]
  }

  private let state = Mutex(State())

  /// What each metric is, and the upper bounds of a histogram's buckets.
  private static let known: [(name: String, help: String, bounds: [Double]?)] = [
    ("facet_requests_total", "Requests answered, by route, method and status.", nil),
    ("facet_refused_total", "Requests refused, by the problem's name.", nil),
    ("facet_superseded_total", "Previews dropped because their slider had moved on.", nil),
    ("facet_request_seconds", "Time to the answer, by route.", times),
    ("facet_stage_seconds", "Time of a preview's parts: waiting, model, laying over, encoding.", times),
    ("facet_batch_faces", "Faces in the model's batches.", [1, 2, 4, 8, 16, 32, 64]),
  ]
  private static let times = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

  func count(_ name: String, _ labels: String = "") {
    state.withLock { $0.counters[name, default: [:]][labels, default: 0] += 1 }
  }

  func observe(_ name: String, _ value: Double, _ labels: String = "") {
    guard let bounds = Self.known.first(where: { $0.name == name })?.bounds else { return }
    state.withLock { state in
      var histogram = state.histograms[name]?[labels] ?? Histogram(counts: bounds.map { _ in 0 })
      if let bucket = bounds.firstIndex(where: { value <= $0 }) { histogram.counts[bucket] += 1 }
      histogram.sum += value
      histogram.count += 1
      state.histograms[name, default: [:]][labels] = histogram
    }
  }

  /// All metrics.
  /// - Parameter gauges: name, what it is, and its value now.
  func text(_ gauges: [(name: String, help: String, value: Double)]) -> String {
    let (counters, histograms) = state.withLock { ($0.counters, $0.histograms) }
    var lines: [String] = []
    func head(_ name: String, _ help: String, _ type: String) {
      lines += ["# HELP \(name) \(help)", "# TYPE \(name) \(type)"]
    }
    for metric in Self.known {
      guard let bounds = metric.bounds else {
        head(metric.name, metric.help, "counter")
        for (labels, value) in (counters[metric.name] ?? [:]).sorted(by: { $0.key < $1.key }) {
          lines.append("\(metric.name)\(labels.isEmpty ? "" : "{\(labels)}") \(value)")
        }
        continue
      }
      head(metric.name, metric.help, "histogram")
      for (labels, histogram) in (histograms[metric.name] ?? [:]).sorted(by: { $0.key < $1.key }) {
        let before = labels.isEmpty ? "" : labels + ","
        var sum = 0
        for (bound, count) in zip(bounds, histogram.counts) {
          sum += count
          lines.append("\(metric.name)_bucket{\(before)le=\"\(bound)\"} \(sum)")
        }
        let all = labels.isEmpty ? "" : "{\(labels)}"
        lines.append("\(metric.name)_bucket{\(before)le=\"+Inf\"} \(histogram.count)")
        lines.append("\(metric.name)_sum\(all) \(histogram.sum)")
        lines.append("\(metric.name)_count\(all) \(histogram.count)")
      }
    }
    for gauge in gauges {
      head(gauge.name, gauge.help, "gauge")
      lines.append("\(gauge.name) \(gauge.value)")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension Duration {
  var seconds: Double { self / .seconds(1) }
}
