// The calls of openapi.json as a page.

const api = await (await fetch("../openapi.json")).json();
const at = new URL("..", location.href).href.replace(/\/$/, "");
const byId = (id) => document.getElementById(id);

byId("curl").textContent = `curl --data-binary @me.jpg '${at}/api/edit?Smiling=1&Young=-1' -o out.jpg`;
byId("python").textContent = `import urllib.request

with open("me.jpg", "rb") as photo:
    call = urllib.request.Request("${at}/api/edit?Smiling=1&Young=-1", data=photo.read())
with urllib.request.urlopen(call) as answer, open("out.jpg", "wb") as out:
    out.write(answer.read())`;

function make(tag, text = "", ...children) {
  const element = document.createElement(tag);
  element.append(text, ...children);
  return element;
}

const find = (value) => value?.$ref ? value.$ref.slice(2).split("/").reduce((part, name) => part[name], api) : value;

/** A schema in a few words: its type, range, choices and default. */
function describe(schema) {
  const found = find(schema) ?? {};
  const parts = [found.type ?? (found.anyOf ? "string" : "")];
  if (found.enum) parts.push(found.enum.join(", "));
  if (found.minimum !== undefined || found.maximum !== undefined) parts.push(`${found.minimum ?? ""} … ${found.maximum ?? ""}`);
  if (found.default !== undefined) parts.push(`default ${JSON.stringify(found.default)}`);
  return [parts.filter(Boolean).join("; "), found.description ?? ""];
}

function table(rows) {
  const element = make("table");
  for (const [name, schema, extra] of rows) {
    const [type, text] = describe(schema);
    element.append(make("tr", "", make("td", "", make("code", name)), make("td", type), make("td", extra || text)));
  }
  return element;
}

for (const { name, description } of api.tags) {
  const section = make("section", "", make("h2", name), make("p", description));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, call] of Object.entries(item)) {
      if (!call.tags?.includes(name)) continue;
      const details = make("details", "", make("summary", "", make("b", method.toUpperCase()), make("code", path), make("span", call.summary)));
      if (call.description) details.append(make("p", call.description));
      const parameters = [...(item.parameters ?? []), ...(call.parameters ?? [])].map(find);
      if (parameters.length > 0) details.append(table(parameters.map((one) => [one.name, one.schema, one.description])));
      const body = find(call.requestBody?.content?.["application/json"]?.schema);
      if (body?.properties) details.append(make("p", "JSON:"), table(Object.entries(body.properties)));
      section.append(details);
    }
  }
  byId("calls").append(section);
}
