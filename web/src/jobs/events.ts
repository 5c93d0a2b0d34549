// The events of a job as they come. A browser's EventSource sends no token, so the stream is read with fetch.

export type Event = Record<string, unknown>;

/** Calls `seen` with each event of a stream, until it ends. */
export async function follow(address: string, options: RequestInit, seen: (event: Event) => void): Promise<void> {
  const headers = { ...options.headers, Accept: "text/event-stream" };
  const response = await fetch(address, { ...options, headers });
  if (response.status === 204) return;
  if (!response.ok || !response.body) throw new Error(`no stream of events (${response.status})`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data: "));
      if (data.length) seen(JSON.parse(data.map((line) => line.slice(6)).join("\n")) as Event);
    }
  }
}
