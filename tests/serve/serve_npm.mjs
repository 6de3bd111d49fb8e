// node serve_npm.mjs URL: the npm clients openai, ollama and @ai-sdk/openai-compatible against a server with the demo model. Prints TAP.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import {Ollama} from 'ollama';
import {createOpenAICompatible} from '@ai-sdk/openai-compatible';

const url = process.argv[2], model = 'pebble-q4_k_m', question = 'What is 37 + 58?', answer = '37 + 58 = 95';
const messages = [{role: 'user', content: question}];
const tools = [{type: 'function', function: {name: 'add', description: 'adds', parameters: {type: 'object', properties: {a: {type: 'integer'}}, required: ['a']}}}];
const schema = {type: 'object', properties: {sum: {type: 'integer'}}, required: ['sum'], additionalProperties: false};
let n = 0, failed = 0;

async function check(name, body) {
  try {
    await body();
    console.log(`ok ${++n} - ${name}`);
  } catch (e) {
    console.log(`# ${String(e.stack).replaceAll('\n', '\n# ')}\nnot ok ${++n} - ${name}`);
    failed = 1;
  }
}

async function idle() { // all slots are free within two seconds
  for (let i = 0; i < 40; i++) {
    if ((await (await fetch(url + '/slots')).json()).every(s => !s.is_processing)) return true;
    await new Promise(done => setTimeout(done, 50));
  }
  return false;
}

const openai = new OpenAI({baseURL: url + '/v1', apiKey: 'none', maxRetries: 0});

await check('openai: models', async () => {
  const list = await openai.models.list();
  assert.equal(list.data[0].id, model);
});
await check('openai: a chat', async () => {
  const r = await openai.chat.completions.create({model, messages, temperature: 0});
  assert.equal(r.choices[0].message.content, answer);
  assert.equal(r.usage.total_tokens, r.usage.prompt_tokens + r.usage.completion_tokens);
});
await check('openai: a stream with usage', async () => {
  let text = '', usage = null, finish = null;
  for await (const chunk of await openai.chat.completions.create({model, messages, temperature: 0, stream: true, stream_options: {include_usage: true}})) {
    text += chunk.choices[0]?.delta.content ?? '';
    finish = chunk.choices[0]?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, answer);
  assert.equal(finish, 'stop');
  assert(usage.completion_tokens > 10);
});
await check('openai: the helper for streams', async () => {
  const r = await openai.chat.completions.stream({model, messages, temperature: 0}).finalChatCompletion();
  assert.equal(r.choices[0].message.content, answer);
});
await check('openai: tools may be given', async () => {
  const r = await openai.chat.completions.create({model, messages, tools, temperature: 0, max_tokens: 60});
  assert(['stop', 'length', 'tool_calls'].includes(r.choices[0].finish_reason));
});
const called = call => call.type === 'function' && call.id && call.function.name === 'add' && Number.isInteger(JSON.parse(call.function.arguments).a);
await check('openai: a tool that must be called, and its result', async () => {
  const asked = {model, messages, tools, tool_choice: 'required', temperature: 0, reasoning_budget_tokens: 4};
  const r = await openai.chat.completions.create(asked);
  assert.equal(r.choices[0].finish_reason, 'tool_calls');
  assert(called(r.choices[0].message.tool_calls[0]));
  const result = {role: 'tool', tool_call_id: r.choices[0].message.tool_calls[0].id, content: '95'};
  const end = await openai.chat.completions.create({model, messages: [...messages, r.choices[0].message, result], tools, temperature: 0, max_tokens: 20});
  assert(end.choices[0].message.content || end.choices[0].message.reasoning_content);
});
await check('openai: a call in a stream', async () => {
  const names = [];
  const r = await openai.chat.completions.stream({model, messages, tools, tool_choice: {type: 'function', function: {name: 'add'}}, temperature: 0, reasoning_budget_tokens: 4})
                .on('tool_calls.function.arguments.done', e => names.push(e.name)).finalChatCompletion();
  assert.deepEqual(names, ['add']);
  assert(called(r.choices[0].message.tool_calls[0]));
});
await check('openai: a JSON schema', async () => {
  const r = await openai.chat.completions.create(
      {model, messages, temperature: 0, response_format: {type: 'json_schema', json_schema: {name: 's', strict: true, schema}}});
  assert(Number.isInteger(JSON.parse(r.choices[0].message.content).sum));
});
await check('openai: a completion', async () => {
  const r = await openai.completions.create({model, prompt: 'Once upon a time', max_tokens: 4, temperature: 0});
  assert.equal(r.usage.completion_tokens, 4);
});
await check('openai: errors have their classes', async () => {
  await assert.rejects(openai.chat.completions.create({model, messages: []}), OpenAI.BadRequestError);
  await assert.rejects(openai.embeddings.create({model, input: 'x'}), OpenAI.InternalServerError);
});
await check('openai: abort frees the slot', async () => {
  const stream = await openai.chat.completions.create({model, messages, stream: true, max_tokens: 1500, ignore_eos: true});
  for await (const _ of stream) break;
  stream.controller.abort();
  assert(await idle());
});

const ollama = new Ollama({host: url});

await check('ollama: models', async () => {
  assert.equal((await ollama.list()).models[0].name, model);
  assert.equal((await ollama.ps()).models.length, 1);
  assert((await ollama.show({model})).details.family);
});
await check('ollama: a chat', async () => {
  const r = await ollama.chat({model, messages, options: {temperature: 0}});
  assert.equal(r.message.content, answer);
  assert(r.message.thinking.includes('carry') && r.eval_count > 10);
});
await check('ollama: a stream', async () => {
  let text = '', done = false;
  for await (const part of await ollama.chat({model, messages, stream: true, options: {temperature: 0}})) text += part.message.content, done = part.done;
  assert.equal(text, answer);
  assert(done);
});
await check('ollama: a schema', async () => {
  const r = await ollama.chat({model, messages, format: schema, options: {temperature: 0}});
  assert(Number.isInteger(JSON.parse(r.message.content).sum));
});
await check('ollama: generate', async () => assert.equal((await ollama.generate({model, prompt: question, options: {temperature: 0}})).response, answer));
await check('ollama: an error', async () => assert.rejects(ollama.chat({model, messages: [{role: 'king', content: 'x'}]}), /role/));

const ai = createOpenAICompatible({name: 'pumice', baseURL: url + '/v1'}).chatModel(model);
const prompt = [{role: 'user', content: [{type: 'text', text: question}]}];

await check('ai-sdk: a chat', async () => {
  const r = await ai.doGenerate({prompt, temperature: 0});
  assert.equal(r.content.find(c => c.type === 'text').text, answer);
  assert(r.content.find(c => c.type === 'reasoning').text.includes('carry'));
});
await check('ai-sdk: a stream', async () => {
  const {stream} = await ai.doStream({prompt, temperature: 0});
  let text = '', finish = null;
  for await (const part of stream) {
    if (part.type === 'error') throw part.error;
    if (part.type === 'text-delta') text += part.delta;
    if (part.type === 'finish') finish = part.finishReason;
  }
  assert.equal(text, answer);
  assert(finish);
});
await check('ai-sdk: a tool that must be called', async () => {
  const {stream} = await ai.doStream({prompt, temperature: 0, toolChoice: {type: 'required'}, providerOptions: {pumice: {reasoning_budget_tokens: 4}},
                                      tools: [{type: 'function', name: 'add', inputSchema: tools[0].function.parameters}]});
  let call = null, finish = null;
  for await (const part of stream) {
    if (part.type === 'error') throw part.error;
    if (part.type === 'tool-call') call = part;
    if (part.type === 'finish') finish = part.finishReason;
  }
  assert.equal(call.toolName, 'add');
  assert(Number.isInteger(JSON.parse(call.input).a));
  assert.equal(finish.unified ?? finish, 'tool-calls');
});
await check('ai-sdk: abort', async () => {
  const stop = new AbortController();
  const {stream} = await ai.doStream({prompt, maxOutputTokens: 1500, abortSignal: stop.signal, providerOptions: {pumice: {ignore_eos: true}}});
  await assert.rejects(async () => {
    for await (const part of stream) {
      if (part.type === 'error') throw part.error;
      stop.abort();
    }
  });
  assert(await idle());
});
await check('ai-sdk: an error', async () => assert.rejects(ai.doGenerate({prompt, temperature: 1000}), e => e.statusCode === 400));

console.log(`1..${n}`);
process.exit(failed);
