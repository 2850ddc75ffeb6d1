// Key-value stores of npm on the servers that the benchmarks use, for context: what a program in Node.js gets from them.
//   node keyv.mjs [FILE]     appends its rows to FILE (results.md)
// The servers are those of HOLDFAST_TEST_POSTGRES and HOLDFAST_TEST_REDIS. Keys of 16 bytes, values of 100.
import { appendFileSync } from 'node:fs';
import Keyv from 'keyv';
import KeyvPostgres from '@keyv/postgres';
import KeyvRedis from '@keyv/redis';

const kKeys = 10_000;
const kRounds = 5;
const kRoundMs = 1_000;
const kAtOnce = [1, 64];
const value = 'v'.repeat(100);
const keyOf = (i) => `key:${String(i).padStart(12, '0')}`;
const randomKey = () => keyOf(Math.floor(Math.random() * kKeys));

function percentile(sorted, percent) {
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))];
}

/// Rate, and latencies in microseconds, of `call` with so many under way at once.
async function measure(call, atOnce) {
  const latencies = [];
  const begin = performance.now();
  const work = async () => {
    for (let now = performance.now(); now - begin < kRoundMs; ) {
      await call();
      const after = performance.now();
      latencies.push((after - now) * 1_000);
      now = after;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  const seconds = (performance.now() - begin) / 1_000;
  return { rate: latencies.length / seconds, latencies };
}

async function fill(keyv) {
  for (let i = 0; i < kKeys; i += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, k) => keyv.set(keyOf(i + k), value)));
  }
}

async function demand(isRight, what) {
  if (!(await isRight)) throw new Error(what);
}

const stores = [];
if (process.env.HOLDFAST_TEST_POSTGRES) {
  const table = `keyv_${process.pid}`;
  const store = new KeyvPostgres({ uri: process.env.HOLDFAST_TEST_POSTGRES, table, max: 10 });
  const close = async () => {
    await store.query(`DROP TABLE ${table}`);
    await store.disconnect();
  };
  stores.push({ name: '@keyv/postgres', keyv: new Keyv(store), close });
}
if (process.env.HOLDFAST_TEST_REDIS) {
  const store = new KeyvRedis(process.env.HOLDFAST_TEST_REDIS, { namespace: `keyv_${process.pid}` });
  const close = async () => {
    await store.clear();
    await store.disconnect();
  };
  stores.push({ name: '@keyv/redis', keyv: new Keyv(store), close });
}
if (stores.length === 0) throw new Error('neither HOLDFAST_TEST_POSTGRES nor HOLDFAST_TEST_REDIS is set');

const rows = [];
for (const { name, keyv, close } of stores) {
  let trouble;
  keyv.on('error', (error) => (trouble = error));
  await fill(keyv);
  await demand((await keyv.get(keyOf(0))) === value, `${name} does not give back what was put`);
  const works = [
    ['put', () => keyv.set(randomKey(), value)],
    ['get', () => keyv.get(randomKey())],
  ];
  for (const atOnce of kAtOnce) {
    for (const [work, call] of works) {
      const rounds = [];
      for (let round = 0; round < kRounds; ++round) rounds.push(await measure(call, atOnce));
      const rates = rounds.map((round) => round.rate).sort((a, b) => a - b);
      const latencies = rounds.flatMap((round) => round.latencies).sort((a, b) => a - b);
      const number = (of) => Math.round(of).toLocaleString('en-US');
      rows.push(
        `| for context: ${name} ${work}, ${atOnce} at once | ${number(rates[Math.floor(kRounds / 2)])} ` +
          `(${number(percentile(latencies, 50))}, ${number(percentile(latencies, 99))}) |`,
      );
      console.log(rows.at(-1));
    }
  }
  await close();
  await demand(trouble === undefined, `${name}: ${trouble?.message}`);
}
if (process.argv[2]) {
  const head = '\n| work, for context | /s (p50, p99 us) |\n|---|---|\n';
  appendFileSync(process.argv[2], `${head}${rows.join('\n')}\n`);
}
