// node scripts/options-reference.mjs [--stdout]
// Writes docs/reference/options.md from the built code: the table of options, what their docstrings say, and the errors that a wrong
// value really gives. Owns the order and the words between; no figure is typed here. Run `npm run build` first.

import { readFileSync, writeFileSync } from 'node:fs';
import { PG_TIMEOUT_TEXT } from '../dist/contracts/errors.js';
import { LATER_OPTIONS, MAX_INT, OPTIONS } from '../dist/core/option-table.js';
import { readOption } from '../dist/core/read-option.js';
import { checkRequest } from '../dist/pool/check-request.js';
import { limitsOf } from '../dist/pool/query.js';
import { planOf } from '../dist/pool/transaction.js';

const at = (path) => new URL(`../${path}`, import.meta.url);
const source = (path) => readFileSync(at(path), 'utf8');

/** How much of a statement is told; a constant that its file keeps to itself. */
const STATEMENT_CHARS = Number(/STATEMENT_CHARS = (\d+)/.exec(source('src/pg/shown-text.ts'))?.[1]);

/** What belongs together, in the order in which a reader meets it. */
const CHAPTERS = {
  'Where to connect': ['connectionString', 'connection', 'keepAlive', 'keepAliveInitialDelayMillis'],
  'How many': ['min', 'max', 'maxWaiting', 'connectConcurrency', 'budget'],
  'How long to wait': ['acquireTimeoutMs', 'queryTimeoutMs', 'connectTimeoutMs', 'returnTimeoutMs'],
  'How long a connection lives': ['idleTimeoutMs', 'maxLifetimeMs', 'maxUses', 'idlePingMs'],
  'What happens to a connection': ['configure', 'check', 'checkAfterIdleMs', 'checkTimeoutMs', 'reset', 'condemn'],
  Speed: ['speaker', 'prepare'],
  'When the server is away': ['reconnectTimeoutMs', 'onReconnectFailed', 'silentAfterMs', 'pooler'],
  'The process': ['autoOpen', 'allowExitOnIdle', 'dev'],
  'Leaks and deadlocks': ['leakAfterMs', 'borrowLimitMs', 'nestedAcquire', 'deadlockGraceMs'],
  'Names, reports and call sites': ['name', 'logger', 'callSites'],
  'Other parts': ['clock', 'driver'],
};

/** One interface of requests each: where it is declared, which call reads it, and a value that none of its keys can mean. */
const REQUESTS = [
  ['AcquireOptions', 'src/pool/requests.ts', '`acquire()`, `use()`, `transaction()`', ask('acquire')],
  ['TransactionOptions', 'src/pool/requests.ts', '`transaction()`, beside those above', askTransaction],
  [
    'QueryOptions',
    'src/pool/query.ts',
    '`query()` of pool, lease and transaction, in the query object beside those of `pg`',
    askQuery,
  ],
  ['WaitOptions', 'src/pool/requests.ts', '`ready()`, `open()`', ask('ready')],
  ['OpenOptions', 'src/pool/requests.ts', '`open()`, beside those above', ask('open')],
  [
    'CloseOptions',
    'src/pool/requests.ts',
    '`close()`; also `close` of `onSignal()` and of `oxbow/fastify`',
    ask('close'),
  ],
  ['CheckOptions', 'src/pool/requests.ts', '`check()`', ask('check')],
];

/** Options that a call declares in its own line, in words of ours; that these are all of them is looked up. */
const INLINE = {
  resize: { min: 'as in the constructor; default: as it is', max: 'as in the constructor; default: as it is' },
  replaceAll: { overMs: 'the idle connections are spread over so many milliseconds; default 0, all at once' },
  trim: { to: 'how many idle connections are left; default 0' },
  pause: {
    borrowers: "`'wait'` (default): whoever asks waits for `resume()`; `'reject'`: is refused with `PoolPausedError`",
  },
};

const WRONG = Symbol('nothing that anybody means');

/** What an `OptionError` says was expected; undefined if there was none. */
function complaint(tried) {
  try {
    tried();
  } catch (error) {
    if (error.kind === 'INVALID_OPTION') return error.expected;
    throw error;
  }
  return undefined;
}

function ask(verb) {
  return (key) => complaint(() => checkRequest(verb, { [key]: WRONG }));
}

function askTransaction(key) {
  return ask('transaction')(key) ?? complaint(() => planOf({ [key]: key === 'settings' ? { role: 1 } : 'nothing' }));
}

function askQuery(key) {
  return complaint(() => limitsOf({ [key]: WRONG }, 1));
}

/** The optional members of an interface with their types and docstrings; each has one. */
function members(text, name) {
  const body = new RegExp(`^export interface ${name}\\b[^{]*\\{\\n([\\s\\S]*?)^\\}`, 'm').exec(text)?.[1];
  if (body === undefined) throw new Error(`there is no interface ${name}`);
  const found = new Map();
  for (const [, doc, key, type] of body.matchAll(/^ {2}\/\*\*([\s\S]*?)\*\/\n {2}(\w+)\?: ([^;]*);/gm)) {
    const prose = doc
      .replaceAll(/^\s*\* ?/gm, '')
      .replaceAll(/\s+/g, ' ')
      .trim();
    found.set(key, { prose, type: type.replace(/ \| undefined$/, '') });
  }
  for (const [, key] of body.matchAll(/^ {2}(\w+)\?:/gm)) {
    if (!found.has(key)) throw new Error(`${name}.${key} has no docstring`);
  }
  return found;
}

const grouped = (number) => String(number).replaceAll(/\B(?=(\d{3})+$)/g, ' ');
const cell = (text) => text.replaceAll('|', '\\|');
const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map((text) => cell(text)).join(' | ')} |`);

function value(given) {
  if (given === undefined) return '–';
  if (given === Number.POSITIVE_INFINITY) return '`false`';
  if (typeof given === 'number') return grouped(given);
  return typeof given === 'string' ? `\`'${given}'\`` : `\`${given}\``;
}

function legal(spec) {
  switch (spec.kind) {
    case 'ms':
    case 'count': {
      const range = spec.max === MAX_INT ? `from ${grouped(spec.min)}` : `${grouped(spec.min)} to ${grouped(spec.max)}`;
      return spec.infinite ? `${range}, \`false\` (${spec.offAs})` : range;
    }
    case 'text':
      return spec.max === MAX_INT ? 'text' : `text, ${spec.min} to ${grouped(spec.max)} characters`;
    case 'flag':
      return '`true`, `false`';
    case 'switch':
      return ['`true`', '`false`', ...spec.words.map((word) => `\`'${word}'\``)].join(', ');
    case 'word':
      return [...spec.words.map((word) => `\`'${word}'\``), ...(spec.orFalse ? ['`false`'] : [])].join(', ');
    case 'record':
      return `object such as \`${spec.example}\``;
    case 'choice':
      return [...spec.words.map((word) => `\`'${word}'\``), 'function'].join(', ');
    case 'port':
      return `object with ${spec.methods.map((method) => `\`${method}\``).join(', ')}`;
    default:
      return spec.kind;
  }
}

const unit = ({ kind }) => (kind === 'ms' ? 'ms' : kind === 'count' ? 'number' : '–');

function otherNames(spec) {
  return spec.aliases.map(({ name, unit: ms, zeroIsOff, forClient }) => {
    const notes = [];
    if (ms === 1000) notes.push('in seconds, fractions allowed');
    if (zeroIsOff) notes.push(`0 and \`null\`: ${spec.offAs}`);
    if (forClient) notes.push('raw clients get it too');
    return `\`${name}\`${notes.length === 0 ? '' : ` (${notes.join('; ')})`}`;
  });
}

function overview(names) {
  const rows = names.map((name) => {
    const spec = OPTIONS[name];
    const { oxbow, pg } = spec.default;
    return [`[\`${name}\`](#${name.toLowerCase()})`, unit(spec), value(oxbow), value(pg), legal(spec), spec.doc];
  });
  return table(['option', 'unit', 'default', 'in `oxbow/pg`', 'legal', 'in short'], rows);
}

function entry(name, docs) {
  const spec = OPTIONS[name];
  const { prose } = docs.get(name) ?? {};
  if (prose === undefined) throw new Error(`${name} has no docstring`);
  const also = otherNames(spec);
  const expected = complaint(() => readOption(name, WRONG, spec, undefined));
  return [
    `### ${name}`,
    '',
    prose,
    '',
    ...(also.length > 0 ? [`Also: ${also.join(', ')}.`, ''] : []),
    `Anything else: \`OptionError\`, expected ${expected}.`,
    '',
  ];
}

function request([name, path, where, complain]) {
  const rows = [...members(source(path), name)].map(([key, { prose, type }]) => [
    `\`${key}\``,
    `\`${type}\``,
    prose,
    complain(key) ?? '–',
  ]);
  return [
    `### ${name}`,
    '',
    `For ${where}.`,
    '',
    ...table(['option', 'type', 'meaning', 'else `OptionError`, expected'], rows),
    '',
  ];
}

function inline([verb, words]) {
  const known = /^one of (.*), for/.exec(complaint(() => checkRequest(verb, { '': 0 })))?.[1]?.split(', ');
  const keys = Object.keys(words);
  if (String(known) !== String(keys)) throw new Error(`${verb}() takes ${known}, and not ${keys}`);
  return keys.map((key) => {
    const expected = ask(verb)(key) ?? complaint(() => readOption(key, WRONG, OPTIONS[key], undefined));
    return [`\`${verb}()\``, `\`${key}\``, words[key], expected];
  });
}

function reference() {
  const all = Object.keys(OPTIONS);
  const told = Object.values(CHAPTERS).flat();
  const astray = [...all.filter((name) => !told.includes(name)), ...told.filter((name) => !all.includes(name))];
  if (astray.length > 0) throw new Error(`not both an option and in a chapter: ${astray.join(', ')}`);
  const contract = source('src/contracts/options.ts');
  const docs = new Map([...members(contract, 'EngineOptions'), ...members(contract, 'ClientOptions')]);
  const essential = all.filter((name) => OPTIONS[name].tier === 'essential').map((name) => `\`${name}\``);
  const later = [...LATER_OPTIONS].map((name) => `\`${name}\``);
  return `# Options

<!-- Made by \`node scripts/options-reference.mjs\` from tables and docstrings of the code; a law compares. Do not change it by hand. -->

Most programs need these: ${essential.join(', ')}. Here is every option of \`Pool\`, with its defaults in \`oxbow\` and in \`oxbow/pg\`.

- **Times** are whole milliseconds, and their names end in \`Ms\`. **Off**, never and no limit are written \`false\` (or \`Infinity\`). A
  number may be a string of digits, as environment variables are. \`undefined\` is the same as leaving it out.
- **What is wrong is refused** by the constructor, before anything was opened, with an \`OptionError\` that has \`option\`, \`value\` and
  \`expected\`. A value under a name that may hold a secret is not shown.
- **Names of pg** are taken with the meaning they have in pg, where 0 switches a limit off. Two names for one thing with different values
  are refused.
- **A key that is not listed** goes to each \`pg.Client\` as it is (\`ssl\`, \`types\`, \`statement_timeout\`, …), unless it has five letters or
  more, is none of pg's and is within two letters of a name here: then it is refused with "did you mean".
- **Names of other pools** for one of these, or for one of pg's, are refused in the same way: \`url\`, \`username\`, \`maxConnections\`,
  \`acquireTimeoutMillis\` and the like.
- **Names of later versions** are refused until then: ${later.join(', ')}.

${overview(told).join('\n')}

${Object.entries(CHAPTERS)
  .flatMap(([chapter, names]) => [`## ${chapter}`, '', ...names.flatMap((name) => entry(name, docs))])
  .join('\n')}
## NullPool

\`NullPool\` of \`oxbow/null\` takes the same options. \`min\` must be 0, \`idleTimeoutMs\` is always 0 (one that is given is passed over), and \`connectConcurrency\` is by default as
large as it may be, so that connects run in parallel up to \`max\`.

## Options of a request

Given with a call, for that call alone; what is left out is the pool's own setting. Here a time is a number of milliseconds, and for ever
is \`Infinity\`. A key that the call does not know is an \`OptionError\` that lists those it knows; in a query object it goes to \`pg\`.

${REQUESTS.flatMap(request).join('\n')}
### Others

${table(['call', 'option', 'meaning', 'else `OptionError`, expected'], Object.entries(INLINE).flatMap(inline)).join('\n')}

## What shows in reports

- **The text of your statements shows.** The last statement of a lease stands, cut to ${STATEMENT_CHARS} characters, in \`holders()\`, in the error of
  \`assertIdle()\` and in reports about an open transaction or a running statement. A literal that is part of the text stands there as well: never
  write a secret into SQL text, use parameters. Their values are never shown.
- **Names, labels and call sites show.** Passwords and connection strings do not: not in errors, events, \`console.log(pool)\` or JSON.
- **The text of pg stands at the end** of an error that people match by its text: that of an exhausted pool ends with "${PG_TIMEOUT_TEXT}".
  In \`oxbow/pg\` it stands at the beginning.
`;
}

if (process.argv[2] === '--stdout') process.stdout.write(reference());
else writeFileSync(at('docs/reference/options.md'), reference());
