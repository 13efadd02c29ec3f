// ZIP files of stored entries, for pictures that are compressed already (PKWARE APPNOTE 6.3.10).

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xEDB88320 : value >>> 1;
  return value;
});

function crc32(data) {
  let value = 0xFFFFFFFF;
  for (const byte of data) value = (value >>> 8) ^ table[(value ^ byte) & 0xFF];
  return (value ^ 0xFFFFFFFF) >>> 0;
}

/** Little-endian fields of 2 or 4 bytes: `[[bytes, value], …]`. */
function fields(list) {
  const view = new DataView(new ArrayBuffer(list.reduce((sum, [bytes]) => sum + bytes, 0)));
  let at = 0;
  for (const [bytes, value] of list) {
    if (bytes === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += bytes;
  }
  return new Uint8Array(view.buffer);
}

/** The parts of a ZIP file of `[{ name, data }]`, below 4 GB together. */
export function zip(files, now = new Date()) {
  const time = now.getHours() << 11 | now.getMinutes() << 5 | now.getSeconds() >> 1;
  const date = now.getFullYear() - 1980 << 9 | now.getMonth() + 1 << 5 | now.getDate();
  const [parts, directory] = [[], []];
  let offset = 0;
  for (const { name, data } of files) {
    const text = new TextEncoder().encode(name);
    // Version 2.0, names in UTF-8, stored.
    const common = [[2, 20], [2, 0x0800], [2, 0], [2, time], [2, date], [4, crc32(data)], [4, data.length], [4, data.length], [2, text.length], [2, 0]];
    const head = fields([[4, 0x04034B50], ...common]);
    parts.push(head, text, data);
    directory.push(fields([[4, 0x02014B50], [2, 20], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]), text);
    offset += head.length + text.length + data.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = fields([[4, 0x06054B50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, size], [4, offset], [2, 0]]);
  return [...parts, ...directory, end];
}
