// An application of its own that has the studio under a path: its page at http://127.0.0.1:8080/faces/, its HTTP interface
// below http://127.0.0.1:8080/faces/api.

import FacetStudio
import Hummingbird

var configuration = StudioConfiguration()
configuration.limits.photos = 8
// Names by which browsers know this server, beside localhost and addresses of digits.
configuration.hosts = ["photos.example.org"]

let router = Router()
router.get("/") { _, _ in "Faces are edited at /faces/." }
try Studio(configuration).addRoutes(to: router.group("faces"))

let application = Application(router: router, configuration: .init(address: .hostname("127.0.0.1", port: 8080)))
try await application.runService()
