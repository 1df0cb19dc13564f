// Prints the messages and enumerations that @livekit/protocol publishes, as JSON:
// {"messages": {"livekit.Room": {"sid": {"number": 1, "type": "string", "repeated": false, "oneof": null}, …}, …},
//  "enums": {"livekit.TrackType": {"AUDIO": 0, …}, …}}
import * as protocol from "@livekit/protocol";
import { ScalarType } from "@bufbuild/protobuf";

const messages = {};
const enums = {};

function typeOf(field) {
  switch (field.kind) {
    case "scalar":
      return ScalarType[field.T].toLowerCase();
    case "map":
      return `map<${ScalarType[field.K].toLowerCase()}, ${typeOf(field.V)}>`;
    case "enum":
      enums[field.T.typeName] = Object.fromEntries(field.T.values.map((value) => [value.name, value.no]));
      return field.T.typeName;
    default:
      return field.T.typeName;
  }
}

for (const exported of Object.values(protocol)) {
  if (!exported?.typeName || !exported.fields?.list) continue;
  messages[exported.typeName] = Object.fromEntries(
    exported.fields.list().map((field) => [
      field.name,
      { number: field.no, type: typeOf(field), repeated: field.repeated, oneof: field.oneof?.name ?? null },
    ]),
  );
}
console.log(JSON.stringify({ messages, enums }));
