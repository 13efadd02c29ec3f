import Facet
import Foundation
import HTTPTypes
import Hummingbird
import Photo

/// The API: each handler reads a request, has the workshop do it, and answers.
struct Routes: Sendable {
  let configuration: StudioConfiguration
  let workshop: Workshop
  let store: PhotoStore
  let admission: Admission
  let metrics: Metrics
  let languages: StudioLanguages

  typealias Handler = @Sendable (Request, StudioContext) async throws -> Response

  func add(to router: Router<StudioContext>) {
    let table: [(path: String, method: HTTPRequest.Method, handler: Handler)] = [
      ("health", .get, { _, _ in .json(HealthAnswer()) }),
      ("metrics", .get, { _, _ in await metricsText() }),
      ("api/attributes", .get, { request, _ in
        .json(AttributesAnswer(workshop.directions, configuration.limits, in: try language(of: request)))
      }),
      ("api/understand", .get, understand),
      ("api/photos", .post, addPhoto),
      ("api/photos/sample", .post, { request, _ in
        try await admission.admit(.heavy) { try await keep(try await workshop.sample()) }
      }),
      ("api/photos/random", .post, addRandom),
      ("api/photos/:id", .get, { _, context in answer(try await session(context)) }),
      ("api/photos/:id", .delete, { _, context in
        try await store.remove(id(context))
        return Response(status: .noContent)
      }),
      ("api/photos/:id/picture", .get, picture),
      ("api/photos/:id/preview", .post, preview),
      ("api/photos/:id/render", .post, render),
      ("api/photos/:id/spectrum", .post, spectrum),
      ("api/photos/:id/tiles", .post, tiles),
      ("api/photos/:id/inspect", .post, inspect),
      ("api/photos/:id/animation", .post, animation),
      ("api/morph", .post, morph),
      ("api/edit", .post, edit),
    ]
    for (path, routes) in Dictionary(grouping: table, by: \.path) {
      for route in routes {
        router.on(RouterPath(path), method: route.method) { request, context in
          try await route.handler(request, context)
        }
      }
      // Other methods are told which ones there are.
      let known = routes.map(\.method)
      for method in [HTTPRequest.Method.get, .head, .post, .put, .patch, .delete, .options, .trace, .init("QUERY")!]
      where !known.contains(method) {
        router.on(RouterPath(path), method: method) { request, context -> Response in
          guard method == .head, let get = routes.first(where: { $0.method == .get }) else {
            throw Problem.methodNotAllowed(known)
          }
          return try await get.handler(request, context).createHeadResponse()
        }
      }
    }
  }

  // MARK: Photos

  private func addPhoto(_ request: Request, _ context: StudioContext) async throws -> Response {
    try await store.checkRoom()
    let sent = try await body(of: request, limit: configuration.limits.photoBytes, for: .heavy)
    return try await admission.admit(.heavy) {
      let bytes = try FormBody.file(in: sent, type: request.headers[.contentType])
      guard !bytes.isEmpty else { throw Problem(.notAPhoto(file: "")) }
      return try await keep(try await workshop.open(bytes))
    }
  }

  private func addRandom(_ request: Request, _ context: StudioContext) async throws -> Response {
    try await store.checkRoom()
    let bytes = try await body(of: request, limit: Self.jsonLimit, for: .heavy)
    return try await admission.admit(.heavy) {
      let asked = bytes.isEmpty ? nil : try decode(RandomRequest.self, bytes, request).seed
      return try await keep(try await workshop.random(seed: asked ?? .random(in: 0...RandomRequest.mostSeed)))
    }
  }

  private func keep(_ session: PhotoSession) async throws -> Response {
    try await store.add(session)
    var response = answer(session)
    response.status = .created
    response.headers[.location] = "/api/photos/\(session.id)"
    return response
  }

  private func answer(_ session: PhotoSession) -> Response {
    .json(PhotoAnswer(session, labels: workshop.directions.labelNames, keptFor: configuration.limits.keptFor))
  }

  private func picture(_ request: Request, _ context: StudioContext) async throws -> Response {
    let session = try await session(context)
    let size = try parameter("size", of: request).map { text -> Int in
      guard let size = Int(text), (32...PhotoSession.longestSide).contains(size) else {
        throw Problem.badRequest("size: must be from 32 to \(PhotoSession.longestSide).")
      }
      return size
    }
    let format = try parameter("format", of: request).map { text -> PreviewFormat in
      guard let format = PreviewFormat(rawValue: text) else {
        throw Problem.badRequest("format: must be jpeg or webp.")
      }
      return format
    }
    return try await admission.admit(.light) {
      let view = session.view(size: size ?? 1024, of: nil)
      let own = format ?? session.previewFormat
      return image(try await workshop.preview(session, [], view, as: own), type: own.mediaType)
    }
  }

  // MARK: Edits

  private func preview(_ request: Request, _ context: StudioContext) async throws -> Response {
    let wanted = try await json(PreviewRequest.self, request, for: .light)
    return try await admission.admit(.light) {
      let session = try await session(context)
      if let window = wanted.region?.window {
        guard window.x < session.photo.width, window.width <= session.photo.width - window.x,
          window.y < session.photo.height, window.height <= session.photo.height - window.y
        else {
          throw Problem.outside("The region must lie within \(session.photo.width) × \(session.photo.height) pixels.")
        }
      }
      let edits = try await workshop.resolve(wanted.edits, keeping: wanted.keep, in: session)
      let view = session.view(size: wanted.size, of: wanted.region?.window)
      let place = wanted.sequence.map { StreamPlace(stream: .init(photo: session.id, name: wanted.stream), number: $0) }
      let format = wanted.format ?? session.previewFormat
      let region = try await workshop.region(wanted.protect, of: session)
      let made = try await workshop.preview(session, edits, view, protecting: region, as: format, at: place)
      for part in made.timing.parts {
        metrics.observe("facet_stage_seconds", part.time.seconds, "stage=\"\(part.name)\"")
      }
      return image(made, type: format.mediaType)
    }
  }

  private func render(_ request: Request, _ context: StudioContext) async throws -> Response {
    let wanted = try await json(RenderRequest.self, request, for: .heavy)
    return try await admission.admit(.heavy) {
      let session = try await session(context)
      let edits = try await workshop.resolve(wanted.edits, keeping: wanted.keep, in: session)
      let region = try await workshop.region(wanted.protect, of: session)
      do {
        let made = try await workshop.render(
          session, edits, protecting: region, as: wanted.format, quality: wanted.quality, size: wanted.size,
          keepsLocation: wanted.keepsLocation)
        let format = wanted.format ?? session.photo.format
        var response = image(made, type: "image/\(format.rawValue)")
        let ending = format == .jpeg ? "jpg" : format.rawValue
        response.headers[.contentDisposition] = "attachment; filename=\"facet.\(ending)\""
        return response
      } catch let error as PhotoError {
        throw Problem(error)
      }
    }
  }

  /// One call from a file to a file: nothing is kept.
  private func edit(_ request: Request, _ context: StudioContext) async throws -> Response {
    let wanted = try EditQuery(request.uri.queryParameters.map { (String($0.key), String($0.value)) })
    let sent = try await body(of: request, limit: configuration.limits.photoBytes, for: .heavy)
    return try await admission.admit(.heavy) {
      let type = request.headers[.contentType]
      let bytes = try FormBody.file(in: sent, type: type)
      guard !bytes.isEmpty else { throw Problem(.notAPhoto(file: "")) }
      let mask = try FormBody.file(named: FormBody.mask, in: sent, type: type)
      let session = try await workshop.open(bytes)
      let region = try await workshop.region(of: mask)
      let faces = try wanted.faces(of: session.faces.count)
      let edits = try await workshop.resolve(
        faces.flatMap { face in wanted.edits.map { Edit(face: face, $0.attribute, strength: $0.strength, style: $0.style) } },
        keeping: [], in: session)
      do {
        let made = try await workshop.render(
          session, edits, protecting: region, as: wanted.format, quality: wanted.quality, size: wanted.size,
          keepsLocation: wanted.keepsLocation)
        return image(made, type: "image/\((wanted.format ?? session.photo.format).rawValue)")
      } catch let error as PhotoError {
        throw Problem(error)
      }
    }
  }

  private func spectrum(_ request: Request, _ context: StudioContext) async throws -> Response {
    let wanted = try await json(SpectrumRequest.self, request, for: .light)
    return try await admission.admit(.light) {
      let session = try await session(context)
      let index = try face(wanted.face, of: session)
      // The attribute's own strength is each tile's.
      let others = wanted.edits.filter {
        $0.face == index && $0.attribute.lowercased() != wanted.attribute.lowercased()
      }
      let resolved = try await workshop.resolve(others, keeping: wanted.keep, in: session).first
      let options = EditOptions(keeping: wanted.keep)
      try workshop.validate([AttributeEdit(wanted.attribute)], keeping: wanted.keep)
      let tiles = try wanted.strengths.map { strength in
        FaceEdit(
          session.faces[index], (resolved?.edits ?? []) + [try AttributeEdit(wanted.attribute, strength: strength)],
          options: options)
      }
      let made = try await workshop.strip(session, tiles, side: wanted.size, as: wanted.format)
      var response = image(made, type: wanted.format.mediaType)
      response.headers[HTTPField.Name("Facet-Strengths")!] = wanted.strengths.map { "\($0)" }.joined(separator: ",")
      return response
    }
  }

  private func tiles(_ request: Request, _ context: StudioContext) async throws -> Response {
    let wanted = try await json(TilesRequest.self, request, for: .light)
    return try await admission.admit(.light) {
      let session = try await session(context)
      let index = try face(wanted.face, of: session)
      let tiles = try wanted.tiles.map { edits in
        try workshop.edit(session.faces[index], edits.map { try $0.edit }, keeping: wanted.keep)
      }
      let region = try await workshop.region(wanted.protect, of: session)
      return image(
        try await workshop.strip(session, tiles, protecting: region, side: wanted.size, as: wanted.format),
        type: wanted.format.mediaType)
    }
  }

  private func inspect(_ request: Request, _ context: StudioContext) async throws -> Response {
    let wanted = try await json(InspectRequest.self, request, for: .light)
    return try await admission.admit(.light) {
      let session = try await session(context)
      let index = try face(wanted.face, of: session)
      let own = wanted.edits.filter { $0.face == index }
      let resolved = try await workshop.resolve(own, keeping: wanted.keep, in: session).first
      let probabilities =
        if let resolved { try await workshop.probabilities(resolved) } else { session.probabilities[index] }
      let strengths = try (resolved?.edits ?? own.map { try $0.edit }).map { edit -> Double in
        if case .strength(let strength) = edit.amount { return strength }
        return 0
      }
      return .json(
        InspectionAnswer(
          face: index, probabilities, labels: workshop.directions.labelNames, strengths: strengths))
    }
  }

  private func morph(_ request: Request, _ context: StudioContext) async throws -> Response {
    let wanted = try await json(MorphRequest.self, request, for: .heavy)
    return try await admission.admit(.heavy) {
      let (first, last) = (try await store.find(wanted.from.photo), try await store.find(wanted.to.photo))
      let made = try await workshop.morph(
        from: (first, try face(wanted.from.face, of: first)), to: (last, try face(wanted.to.face, of: last)), wanted)
      return image(made, type: wanted.format.mediaType)
    }
  }

  private func animation(_ request: Request, _ context: StudioContext) async throws -> Response {
    let wanted = try await json(AnimationRequest.self, request, for: .heavy)
    return try await admission.admit(.heavy) {
      let session = try await session(context)
      let edits = try await workshop.resolve(wanted.edits, keeping: wanted.keep, in: session)
      let region = try await workshop.region(wanted.protect, of: session)
      return image(try await workshop.animation(session, edits, protecting: region, wanted), type: wanted.format.mediaType)
    }
  }

  // MARK: Parts

  private func metricsText() async -> Response {
    let text = metrics.text([
      ("facet_photos", "Photos that are kept.", Double(await store.count)),
      ("facet_photo_bytes", "Bytes that kept photos may take.", Double(await store.byteCount)),
      ("facet_requests_present", "Requests that are worked on or wait.", Double(admission.count)),
      ("facet_waiting", "Jobs that wait for the model.", Double(await workshop.queue.count)),
    ])
    return .bytes(Data(text.utf8), type: "text/plain; version=0.0.4; charset=utf-8")
  }

  private func understand(_ request: Request, _ context: StudioContext) async throws -> Response {
    let text = try parameter("text", of: request) ?? ""
    guard text.count <= Prompt.longest else {
      throw Problem.badRequest("text: must have at most \(Prompt.longest) letters.")
    }
    let language = try language(of: request)
    let prompt = Prompt(text, labels: workshop.directions.labelNames, languages: languages.understood(in: language))
    return .json(PromptAnswer(prompt, in: language))
  }

  /// The one that is asked for, else the standard one.
  private func language(of request: Request) throws -> StudioLanguage {
    guard let code = try parameter("language", of: request) else { return languages.standard }
    guard let language = languages.all[code] else {
      throw Problem.badRequest("language: must be one of \(languages.all.keys.sorted().joined(separator: ", ")).")
    }
    return language
  }

  private func parameter(_ name: Substring, of request: Request) throws -> String? {
    let values = request.uri.queryParameters[values: name]
    if values.count > 1 { throw Problem.badRequest("\(name): is given more than once.") }
    return values.first.map(String.init)
  }

  private func id(_ context: StudioContext) throws -> PhotoID {
    guard let id = context.parameters.get("id") else { throw Problem.unknownPhoto }
    return PhotoID(id)
  }

  private func session(_ context: StudioContext) async throws -> PhotoSession {
    try await store.find(id(context))
  }

  private func face(_ index: Int, of session: PhotoSession) throws -> Int {
    guard session.faces.indices.contains(index) else { throw Problem.noSuchFace(index, of: session.faces.count) }
    return index
  }

  /// With a mask in it.
  private static let jsonLimit = 256 * 1024

  /// What a request holds, received whole before it takes a place: one whose body drips holds none.
  private func body(of request: Request, limit: Int, for weight: Admission.Weight) async throws -> Data {
    try admission.check(weight)
    if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit {
      throw Problem.tooLarge(limit: limit)
    }
    var bytes = Data()
    defer { try? admission.receive(-bytes.count) }
    do {
      for try await part in request.body {
        if part.readableBytes > limit - bytes.count { throw Problem.tooLarge(limit: limit) }
        try admission.receive(part.readableBytes)
        bytes.append(contentsOf: part.readableBytesView)
      }
    } catch let problem as Problem {
      throw problem
    } catch is CancellationError {
      throw Problem.timedOut
    } catch {
      throw Problem.badRequest("The body ended too early.")
    }
    try Task.checkCancellation()
    return bytes
  }

  private func json<Value: Decodable>(
    _: Value.Type, _ request: Request, for weight: Admission.Weight
  ) async throws -> Value {
    try decode(Value.self, await body(of: request, limit: Self.jsonLimit, for: weight), request)
  }

  private func decode<Value: Decodable>(_: Value.Type, _ bytes: Data, _ request: Request) throws -> Value {
    let type = request.headers[.contentType]?.split(separator: ";").first?.trimmingCharacters(in: .whitespaces)
    guard type?.lowercased() == "application/json" else { throw Problem.notJSON() }
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
      throw Problem.badRequest("The body begins with a byte order mark: send JSON without one.")
    }
    return try JSONDecoder().decode(Value.self, from: bytes)
  }

  private func image(_ made: (bytes: Data, timing: Timing), type: String) -> Response {
    var response = Response.bytes(made.bytes, type: type)
    response.headers[HTTPField.Name("Server-Timing")!] = made.timing.parts.map { name, time in
      "\(name);dur=\((time.seconds * 100_000).rounded() / 100)"
    }.joined(separator: ", ")
    return response
  }
}
