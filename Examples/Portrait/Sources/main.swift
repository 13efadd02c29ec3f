import Facet
import Foundation

// Adds a smile to a portrait: portrait PHOTO RESULT
guard CommandLine.arguments.count == 3 else {
  print("usage: portrait PHOTO RESULT")
  exit(64)
}
