// A worker of a Holdfast queue in plain Node.js (18 or newer): all it needs is HTTP.
//
//     node worker.mjs http://127.0.0.1:7411 demo mail [--until-empty]
//
// With a token: HOLDFAST_TOKEN. Ctrl-C lets the job that is under way end, and takes no more.
const [base = 'http://127.0.0.1:7411', database = 'demo', queue = 'mail', option] = process.argv.slice(2);
const leaseMs = 30_000;
const url = `${base}/v1/databases/${encodeURIComponent(database)}/queues/${encodeURIComponent(queue)}/`;

class LeaseLost extends Error {}

async function call(action, body) {
  const headers = { 'Content-Type': 'application/json' };
  if (process.env.HOLDFAST_TOKEN) headers.Authorization = `Bearer ${process.env.HOLDFAST_TOKEN}`;
  const answer = await fetch(url + action, { method: 'POST', headers, body: JSON.stringify(body) });
  const json = await answer.json();
  if (answer.ok) return json;
  const message = `${action}: ${json.error.message}`;
  // Whatever was done of the job, somebody else has it now, or it is cancelled.
  if (answer.status === 409) throw new LeaseLost(message);
  throw new Error(message);
}

// What is to be done for a job of each kind: it may note progress and lines, and returns the result.
const handlers = {
  async greet(job, note) {
    await note({ progress: 0.5, log: [`greeting ${job.value.name}`] });
    return `hello ${job.value.name}`;
  },
};

async function work(job) {
  const lease = { id: job.id, token: job.token };
  // Calls about a job come one after the other: each extension changes the token.
  let last = Promise.resolve();
  const inTurn = (action, more) =>
    (last = last
      .catch(() => {})
      .then(async () => {
        const answer = await call(action, { ...lease, ...more });
        if (answer.token) lease.token = answer.token;
      }));
  const note = (notes) => inTurn('extend', notes);
  const keep = setInterval(() => note({ lease_ms: leaseMs }).catch((error) => console.error(error.message)), leaseMs / 2);
  try {
    const handler = handlers[job.kind];
    if (!handler) throw new Error(`no handler for jobs of the kind "${job.kind}"`);
    const result = await handler(job, note);
    clearInterval(keep);
    await inTurn('complete', result === undefined ? {} : { value: result });
    console.log(`${job.id} done`);
  } catch (error) {
    clearInterval(keep);
    console.error(`${job.id} ${error.message}`);
    if (!(error instanceof LeaseLost)) await inTurn('fail', { error: String(error.message) });
  }
}

let goesOn = true;
process.once('SIGINT', () => (goesOn = false));
process.once('SIGTERM', () => (goesOn = false));

while (goesOn) {
  try {
    const { items } = await call('receive', { lease_ms: leaseMs, wait_ms: option === '--until-empty' ? 0 : 20_000 });
    for (const job of items) await work(job);
    if (items.length === 0 && option === '--until-empty') break;
  } catch (error) {
    console.error(error.message);
    if (option === '--until-empty') process.exit(1);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}
