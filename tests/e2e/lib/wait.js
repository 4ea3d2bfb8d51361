// Waiting for something to become true, and numbers from a seed.
'use strict';

// How much longer than on its own everything may take; the build that is tested says so. What a
// test waits for is an event: a limit only ends the waiting for one that never comes.
const PATIENCE = Number(process.env.HOLDFAST_PATIENCE || 1);

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Asks until the answer is truthy and returns it. What the question throws counts as "not yet",
// unless it is a failed assertion. Throws when it takes longer than `ms`.
async function until(what, question, { ms = 30000, every = 20 } = {}) {
  const end = process.hrtime.bigint() + BigInt(ms * PATIENCE) * 1000000n;
  let last = null;
  for (;;) {
    try {
      const answer = await question();
      if (answer) return answer;
      last = null;
    } catch (error) {
      if (error.code === 'ERR_ASSERTION') throw error;
      last = error;
    }
    if (process.hrtime.bigint() > end)
      throw new Error(`${what}: not within ${ms * PATIENCE} ms${last ? `; ${last.message}` : ''}`);
    await pause(every);
  }
}

// xorshift32.
function numbersOf(given) {
  let seed = given || 1;
  return (below) => {
    seed ^= seed << 13; seed ^= seed >>> 17; seed ^= seed << 5;
    return (seed >>> 0) % below;
  };
}

// The same with a seed that is printed; HF_SEED repeats it.
function randomOf(given = Number(process.env.HF_SEED || Date.now() % 1000000007)) {
  console.log(`seed ${given || 1} (HF_SEED repeats it)`);
  return numbersOf(given);
}

module.exports = { PATIENCE, pause, until, numbersOf, randomOf };
