// Questions to the service. Busy answers (503) are asked again after the time that the service names.

export class ServiceError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** Returns the response to a request, once the service is not busy. */
export async function ask(address: string, options: RequestInit = {}, most = 5): Promise<Response> {
  for (let tries = 1; ; tries++) {
    const response = await fetched(address, options);
    if (response.ok) return response;
    const wait = Number(response.headers.get("Retry-After"));
    if (response.status !== 503 || tries === most) throw new ServiceError(await reason(response), response.status);
    await new Promise((resolve) => window.setTimeout(resolve, 1000 * Math.min(Math.max(wait, 1), 10)));
  }
}

async function fetched(address: string, options: RequestInit): Promise<Response> {
  try {
    return await fetch(address, options);
  } catch {
    throw new ServiceError("The service cannot be reached.", 0); // each browser has words of its own for that
  }
}

export async function askJson<T>(address: string, options: RequestInit = {}): Promise<T> {
  return (await (await ask(address, options)).json()) as T;
}

async function reason(response: Response): Promise<string> {
  try {
    const content = await response.json();
    if (typeof content.detail === "string") return content.detail;
  } catch {
    // no JSON: a proxy answered
  }
  return `The service answered with status ${response.status}`;
}

export function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
