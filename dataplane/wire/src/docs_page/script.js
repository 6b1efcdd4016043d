"use strict";
const $ = (id) => document.getElementById(id);
const facts = JSON.parse($("facts").textContent);
const url = new URL(facts.path, location.href);
const SHOWN = 200000;

// Integers beyond 2^53 stay what they are, where the browser can say what was written.
const parse = (text) => JSON.parse(text, (_, value, context) =>
  typeof value === "number" && context && /^-?\d+$/.test(context.source) && !Number.isSafeInteger(value) ? BigInt(context.source) : value);
const scalar = (value) => typeof value === "bigint" ? String(value) : JSON.stringify(value);
const flat = (value) => Array.isArray(value) ? value.flat(Infinity) : [value];

// JSON for reading: a list of plain values stays on one line.
function pretty(value, indent = "") {
  const inner = indent + "  ";
  if (Array.isArray(value)) {
    if (value.every((one) => typeof one !== "object" || one === null)) return "[" + value.map(scalar).join(", ") + "]";
    return "[\n" + value.map((one) => inner + pretty(one, inner)).join(",\n") + "\n" + indent + "]";
  }
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).map(([name, one]) => inner + JSON.stringify(name) + ": " + pretty(one, inner));
    return members.length ? "{\n" + members.join(",\n") + "\n" + indent + "}" : "{}";
  }
  return scalar(value);
}

// Values for Python and for a shell.
function python(value) {
  if (Array.isArray(value)) return "[" + value.map(python).join(", ") + "]";
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null) return "None";
  return scalar(value);
}
const shell = (text) => "'" + text.replaceAll("'", "'\\''") + "'";
const line = (value) => JSON.stringify(value, (_, one) => typeof one === "bigint" ? "\u0000" + one : one).replace(/"\\u0000(-?\d+)"/g, "$1");
const finite = { NaN: NaN, Infinity: Infinity, "-Infinity": -Infinity };
const base64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));

const NUMPY = { BOOL: "np.bool_", FP16: "np.float16", BF16: "ml_dtypes.bfloat16", FP32: "np.float32", FP64: "np.float64", BYTES: "np.object_" };
const numpy = (datatype) => NUMPY[datatype] || "np." + datatype.toLowerCase();

function pythonOf(request) {
  const secure = location.protocol === "https:";
  const bf16 = request.inputs.some((input) => input.datatype === "BF16");
  // Over HTTP this client puts no slash of a name into a path.
  const grpc = facts.name.includes("/");
  const lines = [...(bf16 ? ["import ml_dtypes"] : []), "import numpy as np", `import tritonclient.${grpc ? "grpc" : "http"} as triton`, "",
    `client = triton.InferenceServerClient(${python(grpc ? host() : url.host + prefix())}${secure ? ", ssl=True" : ""})`, "inputs = []"];
  for (const input of request.inputs) {
    let values = flat(input.data);
    if (input.datatype.startsWith("FP") || input.datatype === "BF16") values = values.map((one) => one in finite ? `float(${python(one)})` : python(one));
    else if (input.datatype === "BYTES") values = values.map((one) => python(one) + ".encode()");
    else values = values.map(python);
    lines.push(`inputs.append(triton.InferInput(${python(input.name)}, ${python(input.shape)}, ${python(input.datatype)}))`,
      `inputs[-1].set_data_from_numpy(np.array([${values.join(", ")}], dtype=${numpy(input.datatype)}).reshape(${python(input.shape)}))`);
  }
  const version = facts.version ? `, model_version=${python(facts.version)}` : "";
  lines.push(`answer = client.infer(${python(facts.name)}, inputs${version})`);
  for (const output of facts.outputs) lines.push(`print(${python(output)}, answer.as_numpy(${python(output)}))`);
  return lines.join("\n");
}

// What a gateway has put before the server's own paths.
const prefix = () => url.pathname.slice(0, url.pathname.indexOf("/v2/models/"));
const host = () => url.port ? url.host : url.host + (url.protocol === "https:" ? ":443" : ":80");

const FIELD = { BOOL: "bool", INT8: "int", INT16: "int", INT32: "int", INT64: "int64", UINT8: "uint", UINT16: "uint", UINT32: "uint", UINT64: "uint64", FP32: "fp32", FP64: "fp64", BYTES: "bytes" };

function grpcOf(request) {
  const message = { model_name: facts.name };
  if (facts.version) message.model_version = facts.version;
  message.inputs = request.inputs.map((input) => {
    const field = FIELD[input.datatype];
    if (!field) return null;
    let values = flat(input.data);
    if (field === "bool") values = values.map(Boolean);
    if (field === "bytes") values = values.map((one) => base64(new TextEncoder().encode(one)));
    return { name: input.name, datatype: input.datatype, shape: input.shape, contents: { [field + "_contents"]: values } };
  });
  if (message.inputs.includes(null)) return "# FP16 and BF16 have no list of numbers over gRPC, only raw bytes: use tritonclient.grpc.";
  const plain = location.protocol === "https:" ? "" : " -plaintext";
  return `grpcurl${plain} -d ${shell(line(message))} ${host()} inference.GRPCInferenceService/ModelInfer`;
}

function snippets() {
  const text = $("body").value;
  let request, problem = "";
  try {
    request = parse(text);
    if (!request || !Array.isArray(request.inputs)) problem = "there is no list `inputs`";
  } catch (error) {
    problem = "not JSON yet: " + error.message;
  }
  $("hint").textContent = problem ? "(" + problem + ")" : "";
  $("curl").textContent = `curl -s ${shell(url.href)} -d ${shell(problem ? text : line(request))}`;
  for (const [id, make] of [["python", pythonOf], ["grpc", grpcOf]]) {
    try {
      $(id).textContent = problem ? "# " + problem : make(request);
    } catch {
      $(id).textContent = "# each input needs name, shape, datatype and data";
    }
  }
}

const example = $("body").value || line({ inputs: facts.inputs.map(({ element, ...input }) =>
  ({ ...input, data: Array(input.shape.reduce((all, one) => all * one, 1)).fill(element) })) });

function reset() {
  $("body").value = pretty(parse(example));
  $("body").rows = Math.min(24, $("body").value.split("\n").length);
  snippets();
}

async function send() {
  $("send").disabled = true;
  $("status").textContent = "Waiting for the answer…";
  $("status").className = "";
  const begun = performance.now();
  try {
    const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: $("body").value, credentials: "same-origin" });
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const took = performance.now() - begun;
    let text = new TextDecoder().decode(bytes);
    try {
      text = pretty(parse(text));
    } catch {
      // Binary outputs after the JSON, or an answer from something between here and the server.
    }
    const more = text.length - SHOWN;
    $("result").textContent = more > 0 ? text.slice(0, SHOWN) + `\n… and ${more} characters more` : text;
    $("answer").hidden = false;
    $("status").textContent = `${answer.ok ? "OK" : "Refused"}: status ${answer.status}, ${took.toFixed(1)} ms, ${bytes.length} bytes, request ${answer.headers.get("x-request-id")}`;
    $("status").className = answer.ok ? "ok" : "bad";
  } catch (error) {
    $("answer").hidden = true;
    $("status").textContent = "No answer: " + error.message;
    $("status").className = "bad";
  }
  $("send").disabled = false;
}

async function copy(button) {
  const source = $(button.dataset.copy);
  let done = true;
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    // The clipboard is for secure origins only: select the text, so that a key press copies it.
    getSelection().selectAllChildren(source);
    done = document.execCommand("copy");
  }
  button.textContent = done ? "Copied" : "Selected";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

$("send").addEventListener("click", send);
$("reset").addEventListener("click", reset);
$("body").addEventListener("input", snippets);
$("body").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send();
});
for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
reset();
