// OpenAI's package for Node, told nothing but a base URL. Prints what came of each call, as JSON by name.

import OpenAI, { toFile } from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "sk-test", maxRetries: 0 });
const chat = { model: "gpt-5-mini", messages: [{ role: "user", content: "Where to?" }] };

async function collected(stream) {
  const chunks = [];
  for await (const chunk of await stream) chunks.push(chunk);
  return chunks;
}

const calls = {
  chat: () => client.chat.completions.create(chat),
  "chat stream": () => collected(client.chat.completions.create({ ...chat, stream: true })),
  "chat stream with usage": () =>
    collected(client.chat.completions.create({ ...chat, stream: true, stream_options: { include_usage: true } })),
  "chat stream helper": () => client.chat.completions.stream(chat).finalContent(),
  responses: () => client.responses.create({ model: "gpt-5-mini", input: "Where to?" }),
  "responses stream": () => collected(client.responses.create({ model: "gpt-5-mini", input: "Where to?", stream: true })),
  embeddings: () => client.embeddings.create({ model: "text-embedding-3-small", input: ["a", "b"] }),
  models: async () => (await client.models.list()).data,
  upload: async () => client.files.create({ file: await toFile(Buffer.alloc(200_000, "x"), "a.jsonl"), purpose: "batch" }),
  speech: async () => {
    const spoken = await client.audio.speech.create({ model: "tts-1", voice: "alloy", input: "Hello" });
    return Buffer.from(await spoken.arrayBuffer()).toString("base64");
  },
  "refused with 429": () => client.chat.completions.create({ ...chat, model: "error-429" }),
  "stream refused with 500": () =>
    collected(client.chat.completions.create({ ...chat, model: "error-500", stream: true })),
};

const outcomes = {};
for (const [name, call] of Object.entries(calls)) {
  try {
    outcomes[name] = { answered: await call() };
  } catch (error) {
    outcomes[name] = { raised: error.constructor.name, status: error.status ?? null, message: error.message };
  }
}
process.stdout.write(JSON.stringify(outcomes));
