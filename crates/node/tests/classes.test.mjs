/** What the classes are to others: to those who construct them, to `console.log`, to `using`. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import ipmb from '../lib/index.js';
import { bus } from './support.mjs';

const { join } = ipmb;

test('what comes from somewhere is not constructed', async () => {
  const endpoint = await join({ identifier: bus(), label: ['me'] }, 10_000);
  const asked = endpoint.sender.request('me', 'question', { timeout: 10_000 });
  const message = await endpoint.receiver.recv(10_000);
  const joining = endpoint.constructor;
  for (const [Class, says] of [
    [ipmb.Sender, /^a Sender comes from join\(\)/],
    [ipmb.Receiver, /^a Receiver comes from join\(\)/],
    [ipmb.Endpoint, /^an Endpoint comes from join\(\)/],
    [joining, /^an Endpoint comes from join\(\)/],
    [ipmb.Message, /^a Message comes from recv\(\) or request\(\)/],
  ]) {
    for (const given of [[], [{}, {}, {}, {}, {}], [message, endpoint, endpoint.sender], [null, 1, 'a']]) {
      assert.throws(() => new Class(...given), { name: 'TypeError', message: says });
    }
  }
  await message.reply('answer');
  assert.equal((await asked).payload, 'answer');
  endpoint.close();
});
