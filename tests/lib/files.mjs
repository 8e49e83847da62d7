// Data sets that a test makes itself: NumPy arrays, archives of them.
import { execFileSync } from 'node:child_process';

/** What stands before the numbers of a .npy file (format 1.0); type: '|u1', '<i8'... */
export function npyHeader(type, shape) {
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
  const header = Buffer.alloc(Math.ceil((10 + text.length + 1) / 64) * 64, ' ');
  header.write('\x93NUMPY\x01\x00', 'latin1');
  header.writeUInt16LE(header.length - 10, 8);
  header.write(text, 10);
  header[header.length - 1] = 10;
  return header;
}

/** A .npy file of bytes: value(i) of each. */
export function npy(shape, value) {
  const count = shape.reduce((a, b) => a * b);
  return Buffer.concat([npyHeader('|u1', shape), Buffer.from(Uint8Array.from({ length: count }, (_, i) => value(i)))]);
}

/** A tar of what lies in a directory, as bytes. */
export function tar(dir, names) {
  return execFileSync('tar', ['ch', '-C', dir, ...names], { maxBuffer: 1 << 30 });
}
