// A private certificate authority, made with openssl when a test runs.
'use strict';
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const openssl = (...args) => execFileSync('openssl', args, { stdio: 'pipe' });

// Makes `name`.pem and `name`.key in `folder`: a root that signs itself, valid for a day.
function makeAuthority(folder, name) {
  const authority = { cert: path.join(folder, `${name}.pem`),
    key: path.join(folder, `${name}.key`) };
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
    '-keyout', authority.key, '-out', authority.cert, '-days', '1', '-subj', `/CN=${name}`,
    '-addext', 'keyUsage=critical,keyCertSign');
  return authority;
}

// A server's certificate for names such as IP:127.0.0.1 and DNS:localhost: {cert, key} as paths.
function makeServer(folder, name, authority, names) {
  const at = (extension) => path.join(folder, `${name}.${extension}`);
  openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
    '-keyout', at('key'), '-out', at('csr'), '-subj', `/CN=${name}`);
  fs.writeFileSync(at('ext'), `subjectAltName=${names.join(',')}\n`);
  openssl('x509', '-req', '-in', at('csr'), '-CA', authority.cert, '-CAkey', authority.key,
    '-CAcreateserial', '-days', '1', '-out', at('pem'), '-extfile', at('ext'));
  return { cert: at('pem'), key: at('key') };
}

module.exports = { makeAuthority, makeServer };
