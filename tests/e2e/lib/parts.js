// Runs named parts of a test one after the other.
'use strict';

// Resolves to the number of parts that failed.
async function run(parts) {
  let failed = 0;
  const only = process.argv[2]; // while working on one of them: its name, or some of it
  for (const [name, part] of Object.entries(parts)) {
    if (only && !name.includes(only)) continue;
    const start = process.hrtime.bigint();
    try {
      await part();
      console.log(`ok    ${name} (${(process.hrtime.bigint() - start) / 1000000n} ms)`);
    } catch (error) {
      failed++;
      console.log(`FAIL  ${name}\n${error.stack}`);
    }
  }
  return failed;
}

module.exports = { run };
