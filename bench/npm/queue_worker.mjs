// A process of scripts/bench-queues, as bench/queue_worker.cc is, with a queue of npm:
//   node queue_worker.mjs pg-boss URL QUEUE BATCH LANES AHEAD
//   node queue_worker.mjs bullmq SOCKET QUEUE BATCH CONCURRENCY AHEAD
// It sends while it has sent no more than AHEAD jobs more than it has done.
import { createInterface } from 'node:readline';

const body = { text: 'x'.repeat(89) };
const [kind, place, name, batchText, atOnceText, aheadText] = process.argv.slice(2);
const batch = Number(batchText);
const atOnce = Number(atOnceText);
const ahead = Number(aheadText);
const progress = { sent: 0, done: 0 };
let isStopped = false;

function fail(error) {
  console.error(error);
  process.exit(1);
}

/// Jobs by insert(), fetch() and complete() of many at once, in so many lanes, each with a connection. The queue has a
/// table of its own, as the documentation advises for a large one.
async function withPgBoss() {
  const { PgBoss } = await import('pg-boss');
  const boss = new PgBoss({ connectionString: place, max: atOnce + 1 });
  boss.on('error', fail);
  await boss.start();
  await boss.createQueue(name, { partition: true });
  const jobs = Array.from({ length: batch }, () => ({ data: body }));
  const lane = async () => {
    while (!isStopped) {
      if (progress.sent - progress.done < ahead) {
        progress.sent += batch;
        await boss.insert(name, jobs);
      }
      const got = await boss.fetch(name, { batchSize: batch });
      if (got.length === 0) continue;
      const { affected } = await boss.complete(name, got.map((job) => job.id));
      progress.done += affected;
    }
  };
  for (let i = 0; i < atOnce; ++i) lane().catch(fail);
}

/// Jobs by addBulk(), and a worker with so many at once. Completed jobs are removed, as ours are.
async function withBullmq() {
  const { Queue, Worker } = await import('bullmq');
  const connection = { path: place, maxRetriesPerRequest: null };
  const queue = new Queue(name, { connection, defaultJobOptions: { removeOnComplete: true } });
  const worker = new Worker(name, async () => undefined, { connection, concurrency: atOnce });
  worker.on('error', fail);
  worker.on('completed', () => ++progress.done);
  const jobs = Array.from({ length: batch }, () => ({ name: 'job', data: body }));
  const send = async () => {
    while (!isStopped) {
      if (progress.sent - progress.done >= ahead) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        continue;
      }
      progress.sent += batch;
      await queue.addBulk(jobs);
    }
  };
  send().catch(fail);
}

await (kind === 'pg-boss' ? withPgBoss() : withBullmq());
while (progress.done === 0) await new Promise((resolve) => setTimeout(resolve, 1));
console.log('ready');
for await (const _ of createInterface({ input: process.stdin })) {
  console.log(`${progress.done} ${performance.now() / 1_000}`);
}
isStopped = true;
process.exit(0);
