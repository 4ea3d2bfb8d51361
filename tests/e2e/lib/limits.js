// What the nodes of these tests wait for at most: short, so that what a fault costs is soon over;
// in proportion longer in a build that is slower (HOLDFAST_PATIENCE), so that a node which is only
// slow loses no lease.
'use strict';
const { PATIENCE } = require('./wait.js');

const LEASE_MS = 1500 * PATIENCE;

// Options of `holdfast serve`.
const limits = ({ leaseMs = LEASE_MS, operation = 3000, handler = 5000 } = {}) => Object.entries({
  '--lease-ms': leaseMs,
  '--pg-connect-timeout-ms': 2000 * PATIENCE,
  '--pg-statement-timeout-ms': 2000 * PATIENCE,
  '--op-timeout-ms': operation * PATIENCE,
  '--handler-timeout-ms': handler * PATIENCE,
}).flat().map(String);

module.exports = { LEASE_MS, limits };
