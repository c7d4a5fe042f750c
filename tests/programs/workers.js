#!/usr/bin/env node
// Worker threads with messages and shared memory, files by the thread pool, timers, a child.
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const { execFileSync } = require('child_process');
const crypto = require('crypto');
const fs = require('fs');
const os = require('os');
const path = require('path');

function primes(limit) {
  let count = 0;
  for (let n = 2; n < limit; n++) {
    let prime = true;
    for (let d = 2; d * d <= n && prime; d++) prime = n % d !== 0;
    if (prime) count++;
  }
  return count;
}

if (!isMainThread) {
  const counter = new Int32Array(workerData.shared);
  for (let i = 0; i < 10000; i++) Atomics.add(counter, 0, 1);
  let garbage = [];
  for (let i = 0; i < 100000; i++) {
    if (i % 1000 === 0) garbage = [];
    garbage.push({ i, text: 'x'.repeat(i % 50) });
  }
  Atomics.add(counter, 1, 1);
  Atomics.notify(counter, 1);
  parentPort.postMessage(primes(workerData.limit));
} else {
  const shared = new SharedArrayBuffer(8);
  const limits = [5000, 10000, 20000];
  const results = limits.map((limit) => new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: { limit, shared } });
    let result;
    worker.on('message', (value) => { result = value; });
    worker.on('error', reject);
    worker.on('exit', (code) => (code === 0 ? resolve(result) : reject(new Error(`exit ${code}`))));
  }));
  (async () => {
    console.log('primes', (await Promise.all(results)).join(' '));
    const counter = new Int32Array(shared);
    console.log('counted', counter[0], 'ended', counter[1]);
    const folder = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'node-'));
    const names = ['a', 'b', 'c', 'd', 'e'];
    await Promise.all(names.map((name) => fs.promises.writeFile(path.join(folder, name), name)));
    const read = names.map((name) => fs.promises.readFile(path.join(folder, name), 'utf8'));
    console.log('files', (await Promise.all(read)).join(''));
    const key = await new Promise((resolve, reject) => crypto.pbkdf2(
      'secret', 'salt', 1000, 16, 'sha256',
      (error, key) => (error ? reject(error) : resolve(key.toString('hex')))));
    console.log('key', key);
    const order = [];
    await Promise.all([300, 10, 150].map((ms) => new Promise((resolve) => setTimeout(() => {
      order.push(ms);
      resolve();
    }, ms))));
    console.log('timers', order.join(' '));
    console.log('child', execFileSync('/bin/sh', ['-c', 'echo from $0', 'sh']).toString().trim());
    process.exitCode = 4;
  })();
}
