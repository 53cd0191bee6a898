// What an OpenAI client's user would write, with the unmodified package `openai`: node openai_client.mjs URL TOKEN PROMPT
// Prints one JSON object for the test that runs it.
import OpenAI from 'openai';

const [url, token, prompt] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: token, maxRetries: 0 });
const models = await client.models.list();
const model = models.data[0].id;

async function complete(sampling) {
  const result = { text: '', ids: [], events: 0, finish: null, usage: null };
  const stream = await client.completions.create({
    model, prompt, max_tokens: 40, stream: true, stream_options: { include_usage: true }, return_token_ids: true,
    ...sampling,
  });
  for await (const event of stream) {
    result.usage = event.usage ?? result.usage;
    const choice = event.choices[0];
    if (!choice) continue;
    result.events += 1;
    result.text += choice.text;
    result.ids.push(...choice.token_ids);
    result.finish = choice.finish_reason ?? result.finish;
  }
  return result;
}

async function refusal(call) {
  try {
    await call();
  } catch (error) {
    return { status: error.status, param: error.param, code: error.code, kind: error.constructor.name };
  }
  return null;
}

const whole = await client.completions.create({ model, prompt, max_tokens: 40, temperature: 0, logprobs: 0 });
const chat = await client.chat.completions.create({
  model, messages: [{ role: 'user', content: prompt }], max_completion_tokens: 8, temperature: 0,
});
let spoken = '';
for await (const event of await client.chat.completions.create({
  model, messages: [{ role: 'user', content: prompt }], max_completion_tokens: 8, temperature: 0, stream: true,
})) {
  spoken += event.choices[0]?.delta?.content ?? '';
}

console.log(JSON.stringify({
  model,
  greedy: await complete({ temperature: 0 }),
  seeded: await complete({ temperature: 1.1, seed: 7 }),
  whole: { text: whole.choices[0].text, tokens: whole.choices[0].logprobs.tokens, usage: whole.usage },
  chat: chat.choices[0].message.content,
  spoken,
  wrong_field: await refusal(() => client.completions.create({ model, prompt, n: 2 })),
  wrong_model: await refusal(() => client.completions.create({ model: 'other', prompt })),
  wrong_token: await refusal(() => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'x', maxRetries: 0 }).models.list()),
}));
