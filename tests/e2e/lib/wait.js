// Waiting for something to become true, and numbers from a seed.
'use strict';

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Asks until the answer is truthy and returns it. What the question throws counts as "not yet",
// unless it is a failed assertion. Throws when it takes longer than `ms`.
async function until(what, question, { ms = 30000, every = 20 } = {}) {
  const end = process.hrtime.bigint() + BigInt(ms) * 1000000n;
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
      throw new Error(`${what}: not within ${ms} ms${last ? `; ${last.message}` : ''}`);
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

module.exports = { pause, until, numbersOf, randomOf };
