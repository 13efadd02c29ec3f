import Facet

extension ModelBundle {
  /// The README beside an exported model.
  /// - Parameter attributes: their names; without any the example reconstructs.
  func onnxReadme(attributes: [String]) -> String {
    let example = attributes.contains(AttributeTable.example) ? AttributeTable.example : attributes.first
    let (size, latents) = (configuration.imageSize, configuration.latentSize)
    let crop = configuration.view == .frame ? "all" : "the square x 4…174, y 39…209"
    let picture = "N×3×\(size)×\(size)"
    return """
      # A Facet model in ONNX

      Made by `facet export onnx` \(facetVersion) from a model of the \(configuration.architecture) architecture,
      weights \(fingerprint). Opset 17; the batch size N is free; all numbers are float32.

      | file | input | outputs |
      |---|---|---|
      | `encoder.onnx` | `image` \(picture), sRGB in 0…1 | the code's `mean` and `log_deviation` (log σ), N×\(latents) |
      | `decoder.onnx` | `latent` N×\(latents) | `image` \(picture); `mask` N×1×\(size)×\(size), face's probability |
      \(example == nil ? "" : arrays)
      \(example == nil ? "A reconstruction" : "An edit"): `pip install numpy onnxruntime pillow`, save this here as
      `edit.py`, and run `python edit.py face.png edited.png`.

      ```python
      import sys
      import numpy as np
      from onnxruntime import InferenceSession
      from PIL import Image

      encoder, decoder = InferenceSession("encoder.onnx"), InferenceSession("decoder.onnx")
      \(example.map(step) ?? "")
      face = Image.open(sys.argv[1]).convert("RGB").resize((\(size), \(size)), Image.Resampling.LANCZOS)
      x = np.asarray(face, np.float32).transpose(2, 0, 1)[None] / 255
      code, _ = encoder.run(None, {"image": x})
      before, mask = decoder.run(None, {"latent": code})
      \(example == nil ? "edited = x + (before - x) * mask" : edit)
      pixels = np.rint(edited[0].clip(0, 1).transpose(1, 2, 0) * 255).astype(np.uint8)
      Image.fromarray(pixels).save(sys.argv[2])
      ```

      `face.png` is a face alone and upright, cut out as for training: \(crop) of an aligned CelebA
      photo of 178×218; of any other photo the box that `facet inspect --json` gives. `facet edit` does more: it finds
      and turns the face, works at the photo's own resolution, moves each face by what it lacks (the step here is a
      typical face's), and keeps to the part of the face that the edit is about.

      """
  }

  private var arrays: String {
    """

    `attributes.npz` holds arrays for numpy: `names` of the attributes; for each of them its direction in `isolated`, or
    in `mean_difference` with what goes along with it in the training photos; and in `isolated_factors` and
    `mean_difference_factors` two factors on the direction, at strength 1 and at strength -1.

    """
  }

  /// The Python that finds an attribute's step.
  private func step(_ attribute: String) -> String {
    // A text in JSON is one in Python but for the slash.
    let name = (try? JSON.encode(attribute))?.replacing("\\/", with: "/") ?? ""
    return """
      attributes, strength = np.load("attributes.npz"), 1.0  # 1 adds the attribute, -1 takes it away
      row = attributes["names"].tolist().index(\(name))
      factor = attributes["isolated_factors"][row, 0 if strength > 0 else 1]
      step = strength * factor * attributes["isolated"][row]

      """
  }

  private var edit: String {
    """
    after, _ = decoder.run(None, {"latent": code + step})
    edited = x + (after - before) * mask  # the photo keeps its own detail
    """
  }
}
