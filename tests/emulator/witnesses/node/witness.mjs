// Microsoft's own JavaScript clients, pointed at the emulator that ready.json describes. Prints what they saw as JSON.
import { readFile } from "node:fs/promises";
import { BlobClient } from "@azure/storage-blob";
import {
  BatchRequestContent,
  BatchResponseContent,
  Client,
  FileUpload,
  LargeFileUploadTask,
  PageIterator,
} from "@microsoft/microsoft-graph-client";

const [, , readyFile, link] = process.argv;
const info = JSON.parse(await readFile(readyFile));

async function token() {
  const body = new URLSearchParams({
    grant_type: "client_credentials",
    client_id: info.client_id,
    client_secret: info.client_secret,
    scope: `${info.graph_resource}/.default`,
  });
  const answer = await fetch(`${info.authority}/oauth2/v2.0/token`, { method: "POST", body });
  return (await answer.json()).access_token;
}

const client = Client.init({
  baseUrl: info.graph_url,
  customHosts: new Set([new URL(info.graph_url).hostname]),
  authProvider: async (done) => done(null, await token()),
});
const drive = `/drives/${info.user_drive_id}`;
const seen = {};

seen.drive = (await client.api(drive).get()).id;
for (const name of ["a.txt", "b.txt", "c.txt"]) await client.api(`${drive}/root:/list/${name}:/content`).put(name);
const page = await client.api(`${drive}/root:/list:/children`).top(1).select("name").get();
seen.names = [];
await new PageIterator(client, page, (item) => seen.names.push(item.name)).iterate();
seen.filtered = (await client.api(`${drive}/root:/list:/children`).filter("name eq 'b.txt'").get()).value.map((each) => each.name);
seen.refused = await client.api(`${drive}/root:/list:/children`).skip(1).get().catch((error) => [error.statusCode, error.code]);
seen.missing = await client.api(`${drive}/root:/none.txt`).get().catch((error) => [error.statusCode, error.code]);

const content = Buffer.alloc(1_000_000, "0123456789");
const session = await LargeFileUploadTask.createUploadSession(
  client,
  `${drive}/root:/uploads/large file.bin:/createUploadSession`,
  { item: { "@microsoft.graph.conflictBehavior": "rename" } },
);
const file = new FileUpload(content, "large file.bin", content.length);
const task = new LargeFileUploadTask(client, file, session, { rangeSize: 327_680 });
const uploaded = (await task.upload()).responseBody;
seen.uploaded = [uploaded.name, uploaded.size, uploaded.file.hashes.quickXorHash.length];

// The addresses of a batch are relative to the version, which node's own Request does not take.
const part = (url) => ({ url, method: "GET", headers: new Headers(), clone() { return this; } });
const batch = new BatchRequestContent([
  { id: "1", request: part(`${drive}/root`) },
  { id: "2", request: part(`${drive}/root:/none`) },
]);
const answers = new BatchResponseContent(await client.api("/$batch").post(await batch.getContent()));
seen.batch = ["1", "2"].map((id) => answers.getResponseById(id).status);

const blob = new BlobClient(link);
const properties = await blob.getProperties();
const whole = await blob.downloadToBuffer(0, undefined, { blockSize: 100_000, concurrency: 8 });
seen.blob = [properties.contentLength, whole.length, whole.subarray(0, 2).toString(), properties.blobType];
seen.condition = await blob
  .download(0, 10, { conditions: { ifMatch: '"0x0"' } })
  .catch((error) => [error.statusCode, error.code]);
console.log(JSON.stringify(seen));
