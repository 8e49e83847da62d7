// Killed 5 times, on 1 and on 3 threads, against undisturbed: node tests/reproduce/resume.mjs
// Two epochs of ResNet-20 on 10,000 images of CIFAR-10 and a short VDSR on T91, through a daemon. Prints the hash of the
// weights of each run; exit code 1 when they are not the same. Takes about 8 minutes of processor time.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startQuantd, api, dataDir } from '../lib/quantd.mjs';
import { finished, killAgainAndAgain, submit } from '../crash/kills.mjs';

const KILLS = 5, HOURS = 3600e3;
const data = dataDir();
if (!data) {
  console.error('no real data: set QUANTD_DATA');
  process.exit(2);
}
const scratch = mkdtempSync(join(tmpdir(), 'quantd-resume-'));
const daemon = await startQuantd({ args: ['--slots', '3'] });

async function upload(name, folders) {
  for (const [as, path] of Object.entries(folders)) symlinkSync(join(data, path), join(scratch, as));
  execFileSync('tar', ['chf', join(scratch, 'data.tar'), '-C', scratch, ...Object.keys(folders)]);
  const answer = await api(daemon.url, 'POST', `/v1/datasets?name=${name}`, readFileSync(join(scratch, 'data.tar')),
    { 'content-type': 'application/octet-stream' });
  if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
}

/** Kills come within `most` ms of a checkpoint, always the same. */
const within = (most) => (k) => 100 + ((k * 2711) % most);

async function compare(name, wait, spec) {
  const hashes = new Set();
  for (const [cpus, kills] of [[1, 0], [3, KILLS], [1, KILLS]]) {
    const id = await submit(daemon, { ...spec, resources: { cpus } });
    await killAgainAndAgain(daemon, id, kills, wait);
    const { result, attempts } = await finished(daemon, id, 24 * HOURS);
    hashes.add(result.weights_sha256);
    const cpu = attempts.reduce((sum, a) => sum + a.cpu_s, 0);
    console.log(`${name}, ${cpus} thread${cpus > 1 ? 's' : ''}, killed ${attempts.length - 1} times: ${result.weights_sha256} ` +
      `${result.metric} ${result.value.toFixed(4)}, ${cpu.toFixed(0)} s of processor time`);
  }
  console.log(`${name}: ${hashes.size === 1 ? 'the same weights' : 'DIFFERENT WEIGHTS'}`);
  return hashes.size === 1;
}

try {
  // the figure after each epoch does not matter here: the smallest images that there are
  const small = readdirSync(join(data, 'sr/Set5_LR')).filter((file) => file.includes('SRF_4'));
  mkdirSync(join(scratch, 'test'));
  await upload('t91', { train: 'sr/T91', ...Object.fromEntries(small.map((file) => [`test/${file}`, `sr/Set5_LR/${file}`])) });
  await upload('cifar10', Object.fromEntries(['data_batch_1', 'test_batch'].map((file) => [`${file}.bin.gz`, `cifar10/${file}.bin.gz`])));
  const vdsr = await compare('VDSR on T91', within(1500), { kind: 'train', model: 'zoo:vdsr', dataset: 't91', task: 'superres', scale: 2,
    train: { epochs: 10, samples_per_epoch: 64, batch_size: 16, optimizer: 'adam', learning_rate: 1e-4, augment: 'turn', patch: 24, seed: 3 } });
  const resnet = await compare('ResNet-20 on a fifth of CIFAR-10, 2 epochs', within(3000), { kind: 'train', model: 'zoo:resnet20', dataset: 'cifar10',
    normalize: { mean: [0.4914, 0.4822, 0.4465], std: [0.2470, 0.2435, 0.2616] },
    train: { epochs: 2, batch_size: 128, learning_rate: 0.1, augment: 'crop-flip', seed: 1 } });
  process.exitCode = vdsr && resnet ? 0 : 1;
} finally {
  await daemon.stop();
  rmSync(scratch, { recursive: true, force: true });
}
