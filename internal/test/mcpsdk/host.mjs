// An MCP host of the reference SDK. It runs the command in COMMAND (a JSON array) as its server and does what a host does.
// It writes a line of JSON for each step: {"step": …, "ok": …}, and {"step": "end"} at last. MODE is the server's.
import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import * as types from '@modelcontextprotocol/sdk/types.js';
import * as v2 from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio';

const mode = process.env.MODE;
const [command, ...args] = JSON.parse(process.env.COMMAND);
const control = new URL(process.env.CONTROL);
const stdio = { command, args, env: process.env, stderr: 'inherit', maxBufferSize: 1 << 26 };
const post = (path) => fetch(new URL(path, control), { method: 'POST' });
const seen = async () => (await fetch(new URL('/seen', control))).json();

async function step(name, run) {
	try {
		await run();
		console.log(JSON.stringify({ step: name, ok: true }));
	} catch (err) {
		console.log(JSON.stringify({ step: name, error: String(err?.stack ?? err) }));
		process.exit(); // the steps after it would wait for what does not come
	}
}

const long = { timeout: 60_000 };

// until asks again and again, for minutes.
async function until(ask) {
	const late = AbortSignal.timeout(240_000);
	while (!await ask()) late.throwIfAborted();
}

// progressOf returns the progress that arrives while run runs. The SDK's own onprogress loses what arrives in one piece
// with the response.
async function progressOf(transport, run) {
	const steps = [];
	const receive = transport.onmessage;
	transport.onmessage = (message, extra) => {
		if (message.method === 'notifications/progress') steps.push(message.params.progress);
		receive(message, extra);
	};
	await run();
	transport.onmessage = receive;
	return steps;
}

async function older() {
	const client = new Client({ name: 'host', version: '1' }, { capabilities: { elicitation: {}, sampling: {} } });
	client.setRequestHandler(types.ElicitRequestSchema, () => ({ action: 'accept', content: { name: 'Ada' } }));
	client.setRequestHandler(types.CreateMessageRequestSchema, () => ({
		model: 'm', role: 'assistant', content: { type: 'text', text: 'hello' },
	}));
	let changes = 0;
	client.setNotificationHandler(types.ToolListChangedNotificationSchema, () => { changes++; });
	// changed has the server tell of a change until that arrives: what it sends before the host's stream is open is lost.
	const changed = async () => {
		const before = changes;
		await until(async () => { await post('/change'); return changes > before; });
	};
	const call = async (name, args = {}, options = long) =>
		(await client.callTool({ name, arguments: args }, undefined, options)).content[0].text;
	const transport = new StdioClientTransport(stdio);
	await step('connect', () => client.connect(transport, long));
	await step('list', async () => assert.ok((await client.listTools()).tools.some((t) => t.name === 'echo')));
	await step('echo', async () => assert.equal(await call('echo', { text: 'zwölf Boxkämpfer\n\u2028 "\\' }), 'zwölf Boxkämpfer\n\u2028 "\\'));
	await step('many at once', async () => {
		const all = await Promise.all(Array.from({ length: 100 }, (_, i) => call('echo', { text: String(i) })));
		assert.deepEqual(all, Array.from({ length: 100 }, (_, i) => String(i)));
	});
	await step('unknown method', () => assert.rejects(client.request({ method: 'no/such' }, types.EmptyResultSchema), /-32601/));
	await step('large', async () => {
		const size = 3 << 20; // the SDK's own reader of lines takes half a minute for ten times as much
		assert.equal((await call('big', { size })).length, size);
		assert.equal(await call('size', { text: 'x'.repeat(size) }), String(size));
	});
	if (mode !== 'json' && mode !== 'stateless') {
		await step('progress', async () => {
			assert.deepEqual(await progressOf(transport, async () => {
				assert.equal(await call('steps', { count: 5 }, { ...long, onprogress: () => {} }), 'done');
			}), [1, 2, 3, 4, 5]);
		});
	}
	if (mode !== 'stateless') {
		await step('change', changed); // from here on the stream for what the server sends by itself is open
		await step('elicitation', async () => assert.equal(await call('ask'), 'accept Ada'));
		await step('sampling', async () => assert.equal(await call('sample'), 'hello'));
		await step('cancel', async () => {
			const abort = new AbortController();
			const hanging = assert.rejects(call('hang', {}, { ...long, signal: abort.signal }));
			await call('echo', { text: 'meanwhile' });
			await until(async () => await call('hanging') === '1'); // a server knows no request that it has not read
			abort.abort('enough');
			await hanging;
			await until(async () => await call('cancelled') === '1');
		});
	}
	if (mode === 'resumable') {
		await step('resumed', async () => assert.equal(await call('leave'), 'came back'));
	}
	if (mode !== 'stateless' && mode !== 'sse') {
		await step('lost session', async () => {
			await post('/forget');
			const before = changes;
			assert.equal(await call('echo', { text: 'again' }), 'again');
			await changed();
			assert.ok(changes > before);
			const both = await Promise.all([call('ask'), call('echo', { text: 'x' })]);
			assert.deepEqual(both, ['accept Ada', 'x']);
			const all = await seen();
			assert.equal(new Set(all.map((r) => r.session).filter(Boolean)).size, 2);
		});
	}
	if (mode === 'sse') {
		await step('lost session', async () => {
			await post('/restart');
			for (;;) { // the stream may be found to have ended only with this very request
				try {
					assert.equal(await call('echo', { text: 'again' }), 'again');
					break;
				} catch (err) {
					assert.match(String(err), /-32013|-32012/);
				}
			}
		});
	}
	await step('close', async () => {
		const ended = new Promise((resolve) => { client.onclose = resolve; });
		await client.close();
		await ended;
		if (mode !== 'stateless' && mode !== 'sse') assert.equal((await seen()).at(-1).method, 'DELETE');
	});
}

async function modern() {
	const client = new v2.Client({ name: 'host', version: '1' }, { versionNegotiation: { mode: 'auto' } });
	const call = async (name, args = {}, options = long) =>
		(await client.callTool({ name, arguments: args }, options)).content[0].text;
	const transport = new StdioV2(stdio);
	await step('connect', () => client.connect(transport));
	await step('echo', async () => assert.equal(await call('echo', { text: 'hello' }), 'hello'));
	await step('name', async () => assert.equal(await call('größe', { text: 'hello' }), '5'));
	await step('parameter', async () => {
		assert.equal(await call('region', { region: 'Zürich' }), 'Zürich'); // nobody has listed the tools before
		await client.listTools();
		assert.equal(await call('region', { region: 'eu-1' }), 'eu-1');
	});
	await step('progress', async () => {
		assert.deepEqual(await progressOf(transport, async () => {
			assert.equal(await call('steps', { count: 5 }, { ...long, onprogress: () => {} }), 'done');
		}), [1, 2, 3, 4, 5]);
	});
	await step('large', async () => {
		const size = 3 << 20;
		assert.equal(await call('größe', { text: 'x'.repeat(size) }), String(size));
	});
	await step('cancel', async () => {
		const abort = new AbortController();
		const hanging = assert.rejects(call('hang', {}, { ...long, signal: abort.signal }));
		await call('echo', { text: 'meanwhile' });
		await until(async () => await call('hanging') === '1');
		abort.abort('enough');
		await hanging;
		await until(async () => await call('cancelled') === '1');
	});
	await step('fields', async () => {
		const all = await seen();
		assert.ok(all.every((r) => r.method === 'POST' && !r.session && r.version === '2026-07-28' && r.rpc), JSON.stringify(all));
		assert.ok(all.some((r) => r.name === '=?base64?Z3LDtsOfZQ==?='));
		assert.ok(all.some((r) => r.region === '=?base64?WsO8cmljaA==?='));
		assert.ok(all.some((r) => r.region === 'eu-1'));
	});
	await step('close', () => client.close());
}

await (mode === 'modern' ? modern() : older());
console.log(JSON.stringify({ step: 'end' }));
process.exit();
