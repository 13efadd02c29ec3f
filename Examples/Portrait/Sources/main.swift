// Adds a smile to a photo: swift run portrait me.jpg smiling.jpg
import Facet
import Foundation
import Photo

guard CommandLine.arguments.count == 3 else { fatalError("usage: portrait PHOTO RESULT") }
let (input, output) = (URL(fileURLWithPath: CommandLine.arguments[1]), URL(fileURLWithPath: CommandLine.arguments[2]))

let editor = try FaceEditor()
let photo = try Photo(contentsOf: input)
let smiling = try editor.edit(photo, [AttributeEdit("Smiling", strength: 1)])
try smiling.write(to: output)
