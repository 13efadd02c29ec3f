import Foundation
import Testing

/// Whether a process may have file systems of its own here.
private let canSeparate = geteuid() == 0 && (try? run("unshare -m true").status) == 0

private func run(_ script: String, _ arguments: String...) throws -> (status: Int32, output: String) {
  let process = Process()
  let output = Pipe()
  process.executableURL = URL(fileURLWithPath: "/bin/bash")
  process.arguments = ["-c", script, "bash"] + arguments
  (process.standardOutput, process.standardError) = (output, output)
  try process.run()
  let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  return (process.terminationStatus, text)
}

/// `Scripts/setup` on a machine of its own: a copy of /etc and an empty /usr/local/lib, seen by it alone.
@Suite(.enabled(if: canSeparate)) struct SetupTests {

  private static let setup = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Scripts/setup").standardizedFileURL.path

  /// A LibTorch of a user's, as far as the loader sees: two small libraries; then the machine, then a command there.
  private static let machine = """
    set -euo pipefail
    setup=$1 name=$2
    folder=$(mktemp -d -p /var/tmp)
    trap 'rm -rf "$folder"' EXIT
    mkdir -p "$folder"/torch/{lib,include/torch/csrc/api/include/torch} "$folder"/{local,cache}
    touch "$folder/torch/include/torch/csrc/api/include/torch/torch.h"
    library() { echo 'int facet_test;' | gcc -shared -fPIC -Wl,-soname,"$2" -x c - -o "$folder/torch/lib/$1"; }
    library libtorch_cpu.so libtorch_cpu.so
    library libc10.so "$name"
    chown -R nobody "$folder/torch"
    cp -a /etc "$folder/etc"
    rm -f "$folder/etc/ld.so.conf.d/facet-libtorch.conf"
    export folder setup
    export -f library
    on_machine() {
      unshare -m bash -euc 'mount --bind "$folder/etc" /etc; mount --bind "$folder/local" /usr/local/lib; '"$1"
    }
    run='LIBTORCH="$folder/torch" XDG_CACHE_HOME="$folder/cache" "$setup"'

    """

  @Test func aUserCannotReplaceALibraryOfTheSystem() throws {
    let (status, output) = try run(
      Self.machine + """
        on_machine "$run"
        # Again there is nothing to do.
        [[ ! $(on_machine "$run" 2>&1) ]]
        # What the user's files become later changes nothing for the loader.
        library libc10.so libz.so.1
        on_machine '/sbin/ldconfig; /sbin/ldconfig -p | grep "libz.so.1\\|libc10"'
        echo "links: $(find "$folder/local/facet" -type l | wc -l)"
        echo "owners: $(find "$folder/local/facet" ! -user root | wc -l)"
        """, Self.setup, "libc10.so")
    #expect(status == 0, "\(output)")
    #expect(output.contains("libc10.so (libc6,x86-64) => /usr/local/lib/facet/torch/lib/libc10.so"), "\(output)")
    #expect(!output.contains(/libz\.so\.1 .*facet/), "\(output)")
    #expect(output.contains("links: 0") && output.contains("owners: 0"), "\(output)")
  }

  /// An older set-up left links, by which a user's file became a library of the system.
  @Test func linksToAUsersFilesBecomeCopies() throws {
    let (status, output) = try run(
      Self.machine + """
        mkdir -p "$folder/cache/facet/libtorch-2.13.0"
        cp -a "$folder/torch" "$folder/cache/facet/libtorch-2.13.0"
        chown -R nobody "$folder/cache"
        (cd "$folder/cache/facet/libtorch-2.13.0" && find torch -type f -exec sha256sum {} + >manifest.sha256)
        for libtorch in "$folder/torch" ''; do
          run='LIBTORCH="'$libtorch'" XDG_CACHE_HOME="$folder/cache" "$setup"'
          on_machine "$run"
          for library in "$folder"/local/facet/torch/lib/*; do
            ln -sf "${libtorch:-$folder/cache/facet/libtorch-2.13.0/torch}/lib/${library##*/}" "$library"
          done
          rm -f "$folder/local/facet/originals"
          on_machine "/sbin/ldconfig; $run"
          echo "links: $(find "$folder/local/facet" -type l | wc -l)"
          [[ ! $(on_machine "$run" 2>&1) ]]
        done
        """, Self.setup, "libc10.so")
    #expect(status == 0, "\(output)")
    #expect(output.split(separator: "\n").filter { $0.hasPrefix("links: ") } == ["links: 0", "links: 0"], "\(output)")
  }

  @Test func aLibraryByAnothersNameIsRefused() throws {
    let (status, output) = try run(Self.machine + #"on_machine "$run""#, Self.setup, "libz.so.1")
    #expect(status != 0 && output.contains("calls itself libz.so.1"), "\(output)")
    let (other, text) = try run(
      Self.machine + #"library libz.so.1 libz.so.1; on_machine "$run""#, Self.setup, "libc10.so")
    #expect(other != 0 && text.contains("libz.so.1 has the name of a library of the system"), "\(text)")
  }

  /// Clones with caches of their own: what one has set up stays until its cache is gone.
  @Test func anotherCacheMovesNothing() throws {
    let (status, output) = try run(
      Self.machine + """
        mkdir -p "$folder"/{one,two}/facet/libtorch-2.13.0
        for cache in one two; do cp -a "$folder/torch" "$folder/$cache/facet/libtorch-2.13.0"; done
        for cache in one two; do
          (cd "$folder/$cache/facet/libtorch-2.13.0" && find torch -type f -exec sha256sum {} + >manifest.sha256)
        done
        set_up() { on_machine 'XDG_CACHE_HOME="$folder/'"$1"'" "$setup"; pkg-config --variable=prefix facet-libtorch'; }
        for cache in one two one; do echo "after $cache: $(set_up $cache)"; done
        rm -r "$folder/one"
        echo "without: $(set_up two)"
        """, Self.setup, "libc10.so")
    #expect(status == 0, "\(output)")
    for part in ["after one: ", "after two: ", "without: "] {
      let cache = part == "without: " ? "two" : "one"
      #expect(output.split(separator: "\n").contains { $0.hasPrefix(part) && $0.hasSuffix("/\(cache)/facet/libtorch-2.13.0/torch") }, "\(output)")
    }
  }

  @Test func anotherWheelIsRefused() throws {
    // pip finds a wheel by its name in a folder; another's bytes are not those that are known.
    let (status, output) = try run(
      """
      set -euo pipefail
      folder=$(mktemp -d -p /var/tmp)
      trap 'rm -rf "$folder"' EXIT
      mkdir "$folder/wheels"
      cd "$folder"
      mkdir torch-2.13.0+cpu.dist-info
      printf 'Metadata-Version: 2.1\\nName: torch\\nVersion: 2.13.0+cpu\\n' >torch-2.13.0+cpu.dist-info/METADATA
      printf 'Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: cp311-cp311-manylinux_2_28_x86_64\\n' \\
        >torch-2.13.0+cpu.dist-info/WHEEL
      : >torch-2.13.0+cpu.dist-info/RECORD
      python3 -m zipfile -c wheels/torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl torch-2.13.0+cpu.dist-info
      PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_FIND_LINKS="$folder/wheels" XDG_CACHE_HOME="$folder/cache" \\
        PKG_CONFIG_PATH= "$1" 2>&1 && exit 0
      find "$folder/cache" -name '*.so*' | wc -l
      exit 1
      """, Self.setup)
    #expect(status == 1 && output.contains("HASH"), "\(output)")
    #expect(output.hasSuffix("\n0\n"), "\(output)")
  }
}

/// `Scripts/package` where a small program and a file of 2 MB are staged.
@Suite(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/dpkg-shlibdeps"))) struct PackageTests {
  private static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Scripts/package").standardizedFileURL.path

  @Test(arguments: [1, 10]) func aPackageThatIsTooLargeIsRefused(megabytes: Int) throws {
    let (status, output) = try run(
      #"""
      set -euo pipefail
      folder=$(mktemp -d)
      trap 'rm -rf "$folder"' EXIT
      mkdir -p "$folder"/{Scripts,Sources/Facet}
      cp "$1" "$folder/Scripts/"
      echo 'let facetVersion = "1.2.3"' >"$folder/Sources/Facet/Version.swift"
      cat >"$folder/Scripts/stage" <<'STAGE'
      #!/bin/sh
      mkdir -p "$1/lib/facet" && cp /bin/true "$1/lib/facet/facet" && cp /bin/true "$1/lib/facet/library.so"
      head -c 2000000 /dev/urandom >"$1/lib/facet/weights" && : >"$1/lib/facet/installed"
      STAGE
      chmod +x "$folder/Scripts/stage"
      FACET_PACKAGE_MB=$2 "$folder/Scripts/package" "$folder/out" || echo "refused, and $(ls "$folder/out" | wc -l) files left"
      """#, Self.package, "\(megabytes)")
    #expect(status == 0, "\(output)")
    if megabytes == 1 {
      #expect(output.hasPrefix("package: the package would have 2 MB, more than 1") && output.hasSuffix("\nrefused, and 0 files left\n"), "\(output)")
    } else {
      #expect(output.contains("facet_1.2.3_"), "\(output)")
    }
  }
}
