// node_http.js - what Node's HTTP parser (llhttp) makes of the first request of each input.
//
// Standard input: one input per line, in hex. Standard output: one verdict per line:
// "error CODE", "more", or "done METHOD MAJOR.MINOR hex(url) hex(body)".
'use strict';

const { HTTPParser } = process.binding('http_parser');
const { methods } = process.binding('http_parser');

function verdict(bytes) {
  const parser = new HTTPParser();
  let head = null;
  const body = [];
  let done = null;
  parser.initialize(HTTPParser.REQUEST, {});
  parser[HTTPParser.kOnHeadersComplete] = (major, minor, headers, method, url) => {
    if (head === null) head = { major, minor, method, url };
    return 0;
  };
  // The url comes this way when there are many headers.
  let urlPart = '';
  parser[HTTPParser.kOnHeaders] = (headers, url) => { urlPart += url; };
  parser[HTTPParser.kOnBody] = (chunk) => { if (done === null) body.push(Buffer.from(chunk)); };
  parser[HTTPParser.kOnMessageComplete] = () => {
    if (done === null) done = Buffer.concat(body).toString('hex');
  };
  const result = parser.execute(bytes);
  if (done !== null) {
    const url = Buffer.from(head.url || urlPart, 'latin1').toString('hex');
    return `done ${methods[head.method]} ${head.major}.${head.minor} ${url} ${done}`;
  }
  return result instanceof Error ? `error ${result.code}` : 'more';
}

let text = '';
process.stdin.setEncoding('latin1');
process.stdin.on('data', (piece) => { text += piece; });
process.stdin.on('end', () => {
  const lines = text.split('\n');
  lines.pop();
  process.stdout.write(lines.map((line) => `${verdict(Buffer.from(line, 'hex'))}\n`).join(''));
});
