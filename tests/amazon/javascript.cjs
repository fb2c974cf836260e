// Run with the JavaScript SDK on NODE_PATH: the life of messages. The SDK compares the MD5 of every body itself.
// Prints what the service refused.

'use strict';

const assert = require('node:assert/strict');
const sqs = require('@aws-sdk/client-sqs');

const [url, name] = process.argv.slice(2);
const client = new sqs.SQSClient({ endpoint: url, maxAttempts: 1 });
const ask = (action, parameters) => client.send(new sqs[`${action}Command`](parameters));

async function refused(action, parameters, by = client) {
  try {
    await by.send(new sqs[`${action}Command`](parameters));
  } catch (error) {
    assert.equal(error.$fault, 'client');
    return [error instanceof (sqs[error.name] ?? sqs.SQSServiceException), error.name, error.$metadata.httpStatusCode];
  }
  throw new Error(`${action} was not refused`);
}

async function main() {
  const { QueueUrl } = await ask('CreateQueue', { QueueName: name, Attributes: { VisibilityTimeout: '45' } });
  assert.equal((await ask('GetQueueUrl', { QueueName: name })).QueueUrl, QueueUrl);
  const shown = await ask('GetQueueAttributes', { QueueUrl, AttributeNames: ['All'] });
  assert.equal(shown.Attributes.VisibilityTimeout, '45');

  const MessageBody = 'ünïcödé "<&>" \u{1f600}\r\n';
  const MessageAttributes = {
    text: { DataType: 'String', StringValue: 'ü' },
    number: { DataType: 'Number', StringValue: '1493147359900' },
    data: { DataType: 'Binary', BinaryValue: Uint8Array.from([0, 255]) },
  };
  const sent = await ask('SendMessage', { QueueUrl, MessageBody, MessageAttributes });
  const { Messages: [message] } = await ask('ReceiveMessage', {
    QueueUrl, WaitTimeSeconds: 5, MessageAttributeNames: ['All'], MessageSystemAttributeNames: ['All'] });
  assert.equal(message.MessageId, sent.MessageId);
  assert.equal(message.Body, MessageBody);
  assert.equal(message.MD5OfMessageAttributes, sent.MD5OfMessageAttributes);
  for (const [key, value] of Object.entries(MessageAttributes)) {
    assert.deepEqual({ ...message.MessageAttributes[key] }, value);
  }
  assert.equal(message.Attributes.ApproximateReceiveCount, '1');
  await ask('DeleteMessage', { QueueUrl, ReceiptHandle: message.ReceiptHandle });

  // One that comes while somebody waits for it.
  const waiting = ask('ReceiveMessage', { QueueUrl, WaitTimeSeconds: 20 });
  await ask('SendMessage', { QueueUrl, MessageBody: 'at last' });
  const { Messages: [late] } = await waiting;
  assert.equal(late.Body, 'at last');
  await ask('DeleteMessage', { QueueUrl, ReceiptHandle: late.ReceiptHandle });

  const Entries = [...Array(10).keys()].map((number) => ({ Id: `e${number}`, MessageBody: `${number}` }));
  const batch = await ask('SendMessageBatch', { QueueUrl, Entries: [...Entries.slice(0, 9), { Id: 'x', MessageBody: '\x01' }] });
  assert.equal(batch.Successful.length, 9);
  const bodies = new Set();
  while (bodies.size < 9) {
    const { Messages } = await ask('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 5 });
    Messages.forEach(({ Body }) => bodies.add(Body));
    const deleted = await ask('DeleteMessageBatch', {
      QueueUrl, Entries: Messages.map(({ ReceiptHandle }, number) => ({ Id: `${number}`, ReceiptHandle })) });
    assert.equal(deleted.Successful.length, Messages.length);
    assert.equal(deleted.Failed, undefined);
  }
  assert.equal((await ask('ReceiveMessage', { QueueUrl })).Messages, undefined);

  const stranger = new sqs.SQSClient({
    endpoint: url, maxAttempts: 1, credentials: { accessKeyId: 'test:tester', secretAccessKey: 'wrong' } });
  console.log(JSON.stringify({
    failed: batch.Failed.map(({ Id, Code, SenderFault }) => [Id, Code, SenderFault]),
    'md5 of attributes': sent.MD5OfMessageAttributes,
    'no queue': await refused('SendMessage', { QueueUrl: `${QueueUrl}-none`, MessageBody: 'x' }),
    handle: await refused('DeleteMessage', { QueueUrl, ReceiptHandle: 'garbage' }),
    contents: await refused('SendMessage', { QueueUrl, MessageBody: '\x01' }),
    batch: await refused('SendMessageBatch', { QueueUrl, Entries: [] }),
    most: await refused('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 11 }),
    exists: await refused('CreateQueue', { QueueName: name, Attributes: { DelaySeconds: '7' } }),
    stranger: await refused('ListQueues', {}, stranger),
  }));
  await ask('DeleteQueue', { QueueUrl });
}

main();
