// Draws the plots of a page with uPlot and gives every block a table and a CSV file. All text reaches the document
// through textContent; nothing is ever parsed as HTML.
(() => {
  "use strict";

  const root = document.documentElement;
  root.dataset.errors = "0";
  window.addEventListener("error", () => { root.dataset.errors = String(Number(root.dataset.errors) + 1); });

  const blocks = JSON.parse(document.getElementById("blocks").textContent);
  const tip = document.getElementById("tip");
  const announce = document.getElementById("announce");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const dashes = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 5], [14, 4], [3, 6], [6, 2, 2, 2]];
  const plots = [];

  const colour = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const make = (tag, parent, properties = {}) => {
    const element = Object.assign(document.createElement(tag), properties);
    parent.append(element);
    return element;
  };

  // 1234.5678 -> "1,234.6": five significant digits, exponents only where digits would mislead.
  function show(value) {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (size !== 0 && (size >= 1e7 || size < 1e-3)) return value.toExponential(2).replace("e+", "e");
    return value.toLocaleString("en-US", { maximumSignificantDigits: size >= 1e5 ? 7 : 5 });
  }

  // ---- Axes ------------------------------------------------------------------------------------------------------

  const usable = (value, log) => value !== null && (!log || value > 0);

  function padded(low, high, log) {
    if (low === null || high === null) return log ? [1, 10] : [0, 1];
    if (log) {
      const pad = Math.pow(high / low, 0.06) || 1;
      return low === high ? [low / 2, high * 2] : [low / pad, high * pad];
    }
    const pad = low === high ? Math.abs(low) * 0.1 || 1 : (high - low) * 0.06;
    return [low >= 0 && low < pad ? Math.max(0, low - pad) : low - pad, high + pad];
  }

  // Marks of a logarithmic axis: powers of ten when they suffice, else 1-2-5, else even steps.
  function logMarks(low, high, room) {
    const marks = (digits) => {
      const list = [];
      for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); ++e) {
        for (const digit of digits) {
          const mark = digit * Math.pow(10, e);
          if (mark >= low * 0.999 && mark <= high * 1.001) list.push(Number(mark.toPrecision(12)));
        }
      }
      return list;
    };
    for (const digits of [[1], [1, 3], [1, 2, 5]]) {
      const list = marks(digits);
      if (list.length >= 4 || (digits.length === 3 && list.length >= 3)) {
        return list.filter((_, i) => i % Math.ceil(list.length / room) === 0);
      }
    }
    return evenMarks(low, high, Math.min(room, 6));
  }

  function evenMarks(low, high, room) {
    const raw = (high - low) / Math.max(2, room);
    const power = Math.pow(10, Math.floor(Math.log10(raw)));
    const step = [1, 2, 5, 10].map((m) => m * power).find((m) => m >= raw);
    const list = [];
    for (let k = Math.ceil(low / step); k * step <= high * (1 + 1e-12); ++k) list.push(Number((k * step).toPrecision(12)));
    return list;
  }

  function axis(label, log, side) {
    const vertical = side === 3;
    return {
      label, side, log,
      stroke: colour("soft"),
      labelSize: 26, labelFont: "13px system-ui, sans-serif", font: "12px system-ui, sans-serif",
      grid: { stroke: colour("grid"), width: 1 },
      ticks: { stroke: colour("line"), width: 1, size: 5 },
      splits: (u, i, low, high) => {
        const pixels = (vertical ? u.bbox.height : u.bbox.width) / devicePixelRatio;
        const room = Math.max(3, Math.floor(pixels / (vertical ? 38 : 58)));
        return log ? logMarks(low, high, room) : evenMarks(low, high, room);
      },
      filter: (u, splits) => splits,
      values: (u, splits) => splits.map(show),
      size: vertical
        ? (u, values) => 16 + 7.2 * Math.max(3, ...(values || []).map((v) => String(v).length))
        : 34,
    };
  }

  // ---- Data ------------------------------------------------------------------------------------------------------

  // uPlot wants one shared x. Rows are the union of all x; the n-th repetition of an x within a series gets a row of its own.
  function aligned(series, logX, logY) {
    const rows = new Map();
    series.forEach((one, s) => {
      const seen = new Map();
      one.x.forEach((x, i) => {
        if (!usable(x, logX) || !usable(one.y[i], logY)) return;
        const nth = seen.get(x) || 0;
        seen.set(x, nth + 1);
        const key = x + "/" + nth;
        if (!rows.has(key)) rows.set(key, { x, y: new Array(series.length).fill(null), label: [], note: [] });
        rows.get(key).y[s] = one.y[i];
        rows.get(key).label[s] = one.labels[i];
        rows.get(key).note[s] = one.notes[i];
      });
    });
    const sorted = [...rows.values()].sort((a, b) => a.x - b.x);
    return {
      data: [sorted.map((row) => row.x), ...series.map((_, s) => sorted.map((row) => row.y[s]))],
      labels: series.map((_, s) => sorted.map((row) => row.label[s])),
      notes: series.map((_, s) => sorted.map((row) => row.note[s])),
    };
  }

  function range(values, extra, log) {
    let low = null, high = null;
    for (const list of values) {
      for (const v of list) {
        if (v === null || (log && v <= 0)) continue;
        if (low === null || v < low) low = v;
        if (high === null || v > high) high = v;
      }
    }
    for (const v of extra) {
      if (log && v <= 0) continue;
      low = low === null ? v : Math.min(low, v);
      high = high === null ? v : Math.max(high, v);
    }
    return padded(low, high, log);
  }

  // ---- Drawing beyond uPlot: reference lines and labels of points ------------------------------------------------------

  function drawExtras(u, block, labels) {
    const { ctx, bbox } = u;
    const dpr = devicePixelRatio;
    ctx.save();
    ctx.font = 12 * dpr + "px system-ui, sans-serif";
    // A halo in the colour of the card keeps text readable on top of curves.
    const write = (text, x, y) => {
      ctx.strokeStyle = colour("card");
      ctx.lineWidth = 3 * dpr;
      ctx.lineJoin = "round";
      ctx.strokeText(text, x, y);
      ctx.fillText(text, x, y);
    };
    for (const reference of block.references || []) {
      const y = u.valToPos(reference.y, "y", true);
      if (!(y >= bbox.top && y <= bbox.top + bbox.height)) continue;
      ctx.strokeStyle = ctx.fillStyle = colour("soft");
      ctx.lineWidth = 1.5 * dpr;
      ctx.setLineDash([4 * dpr, 4 * dpr]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.setLineDash([]);
      ctx.textAlign = "left";
      const above = y - 6 * dpr > bbox.top + 12 * dpr;
      write(reference.name, bbox.left + 6 * dpr, above ? y - 6 * dpr : y + 15 * dpr);
    }
    const taken = [];
    labels.forEach((list, s) => {
      if (!u.series[s + 1].show) return;
      ctx.fillStyle = colour("text");
      list.forEach((label, i) => {
        if (!label) return;
        const x = u.valToPos(u.data[0][i], "x", true), y = u.valToPos(u.data[s + 1][i], "y", true);
        if (x < bbox.left || x > bbox.left + bbox.width || y < bbox.top || y > bbox.top + bbox.height) return;
        const width = ctx.measureText(label).width, right = x + width + 10 * dpr < bbox.left + bbox.width;
        // A label on top of another says nothing; the point itself still tells its name.
        const box = { left: right ? x + 8 * dpr : x - 8 * dpr - width, top: y - 21 * dpr, width, height: 14 * dpr };
        const free = taken.every((one) => box.left > one.left + one.width || one.left > box.left + box.width ||
          box.top > one.top + one.height || one.top > box.top + box.height);
        if (!free) return;
        taken.push(box);
        ctx.textAlign = right ? "left" : "right";
        write(label, x + (right ? 8 : -8) * dpr, y - 9 * dpr);
      });
    });
    ctx.restore();
  }

  // ---- Tooltip and keyboard ------------------------------------------------------------------------------------------

  function place(text, x, y) {
    tip.hidden = text === "";
    tip.textContent = text;
    if (tip.hidden) return;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, x + 14 + box.width > innerWidth ? x - box.width - 14 : x + 14) + "px";
    tip.style.top = Math.max(4, Math.min(y - box.height - 10, innerHeight - box.height - 4)) + "px";
  }

  // The nearest value of a series around row `at`, no further than a tenth of the view.
  function nearest(u, s, at) {
    const xs = u.data[0], ys = u.data[s], reach = (u.scales.x.max - u.scales.x.min) / 10;
    for (let step = 0; step < xs.length; ++step) {
      for (const i of [at - step, at + step]) {
        if (i < 0 || i >= xs.length || ys[i] === null) continue;
        return Math.abs(xs[i] - xs[at]) <= reach ? i : -1;
      }
    }
    return -1;
  }

  function describe(u, view, at) {
    const lines = [view.block.xLabel + ": " + show(view.x(at))];
    view.names.forEach((name, s) => {
      if (!u.series[s + 1].show) return;
      const i = nearest(u, s + 1, at);
      if (i < 0) return;
      const label = view.labels[s] && view.labels[s][i] ? " (" + view.labels[s][i] + ")" : "";
      lines.push(name + label + ": " + show(u.data[s + 1][i]));
    });
    return lines.join("\n");
  }

  // Where points carry notes a reader asks for one of them, not for all curves at one x: the nearest on the screen.
  function pointed(u, view, left, top) {
    let best = null, reach = 40 * 40;
    view.names.forEach((name, s) => {
      if (!u.series[s + 1].show) return;
      u.data[s + 1].forEach((y, i) => {
        if (y === null) return;
        const dx = u.valToPos(u.data[0][i], "x") - left, dy = u.valToPos(y, "y") - top;
        if (dx * dx + dy * dy < reach) { reach = dx * dx + dy * dy; best = { s, i }; }
      });
    });
    return best === null ? "" : aboutPoint(u, view, best.s, best.i);
  }

  function aboutPoint(u, view, s, i) {
    const label = view.labels[s][i] ? " (" + view.labels[s][i] + ")" : "";
    const lines = [view.names[s] + label, view.block.xLabel + ": " + show(u.data[0][i]), view.block.yLabel + ": " + show(u.data[s + 1][i])];
    if (view.notes[s][i]) lines.push(view.notes[s][i]);
    return lines.join("\n");
  }

  // All points of one row with their notes, for the keyboard.
  function aboutRow(u, view, at) {
    return view.names.map((_, s) => u.series[s + 1].show && u.data[s + 1][at] !== null ? aboutPoint(u, view, s, at) : "").filter(Boolean).join("\n");
  }

  function keyboard(plot, view) {
    let at = -1;
    plot.addEventListener("keydown", (event) => {
      const u = view.u, last = u.data[0].length - 1;
      const to = { ArrowRight: Math.min(last, at + 1), ArrowLeft: Math.max(0, at - 1), Home: 0, End: last }[event.key];
      if (to === undefined || last < 0) return;
      event.preventDefault();
      at = to;
      const left = u.valToPos(u.data[0][at], "x");
      const row = view.noted ? aboutRow(u, view, at) : describe(u, view, at);
      const first = view.noted ? u.data.findIndex((list, s) => s > 0 && u.series[s].show && list[at] !== null) : -1;
      u.setCursor({ left, top: first > 0 ? u.valToPos(u.data[first][at], "y") : u.over.clientHeight / 3 });
      announce.textContent = row;
    });
    plot.addEventListener("blur", () => place("", 0, 0));
  }

  // ---- Blocks --------------------------------------------------------------------------------------------------------

  function button(parent, text, pressed, act) {
    const element = make("button", parent, { type: "button", textContent: text });
    if (pressed !== null) element.setAttribute("aria-pressed", String(pressed));
    element.addEventListener("click", () => {
      if (pressed !== null) {
        pressed = !pressed;
        element.setAttribute("aria-pressed", String(pressed));
      }
      act(pressed);
    });
    return element;
  }

  function options(view, plot, scales, axes, series) {
    return {
      width: Math.max(240, plot.clientWidth), height: plot.clientWidth < 520 ? 270 : 360,
      padding: [12, 14, 0, 0], legend: { show: false }, scales, axes, series,
      cursor: { y: false, points: { size: 8 }, drag: { x: true, y: false } },
      hooks: {
        draw: [(u) => drawExtras(u, view.block, view.labels)],
        setCursor: [(u) => {
          if (u.cursor.idx === null || u.cursor.idx === undefined || u.cursor.left < 0) return place("", 0, 0);
          const box = u.over.getBoundingClientRect();
          const text = view.noted ? pointed(u, view, u.cursor.left, u.cursor.top) : describe(u, view, u.cursor.idx);
          return place(text, box.left + u.cursor.left, box.top + u.cursor.top);
        }],
      },
    };
  }

  function plotBlock(block, figure, plot, tools, view) {
    const shown = block.series.map(() => true);
    view.names = block.series.map((one) => one.name);
    view.build = () => {
      const { data, labels, notes } = aligned(block.series, block.logX, block.logY);
      view.labels = labels;
      view.notes = notes;
      view.noted = block.series.some((one) => one.notes.length > 0);
      view.x = (i) => data[0][i];
      const scales = {
        x: { time: false, distr: block.logX ? 3 : 1, range: (u, low, high) => padded(low, high, block.logX) },
        y: { distr: block.logY ? 3 : 1, range: (u) => range(
          u.data.slice(1).filter((_, s) => shown[s]), (block.references || []).map((r) => r.y), block.logY) },
      };
      const series = block.series.map((one, s) => ({
        show: shown[s], spanGaps: true, stroke: colour("c" + (s % 8)), width: one.line ? 2 : 0,
        dash: dashes[s % 8], paths: one.line ? undefined : () => null,
        points: { show: one.points || one.x.length < 2, size: 8, fill: colour("c" + (s % 8)) },
      }));
      const axes = [axis(block.xLabel, block.logX, 2), axis(block.yLabel, block.logY, 3)];
      return { data, opts: options(view, plot, scales, axes, [{}, ...series]) };
    };
    if (block.series.length > 1) {
      const legend = make("div", figure, { className: "legend" });
      figure.prepend(legend);
      block.series.forEach((one, s) => {
        const toggle = button(legend, "", true, (on) => { shown[s] = on; view.draw(); });
        make("span", toggle, { className: "swatch c" + (s % 8) });
        toggle.append(one.name);
      });
    }
    button(tools, "Log x", block.logX, (on) => { block.logX = on; view.draw(); });
    button(tools, "Log y", block.logY, (on) => { block.logY = on; view.draw(); });
  }

  function channelsBlock(block, figure, plot, tools, view) {
    let order = block.values.map((_, i) => i);
    view.names = [block.yLabel || "value"];
    view.labels = [[]];
    view.x = (i) => order[i];
    view.build = () => {
      const values = order.map((i) => block.values[i]);
      const scales = {
        x: { time: false, range: () => [-0.6, Math.max(1, values.length) - 0.4] },
        y: { range: () => { const [low, high] = range([values], [0], false); return [low < 0 ? low : 0, high]; } },
      };
      const bars = [{}, { stroke: colour("c0"), fill: colour("c0"), width: 0, paths: uPlot.paths.bars({ size: [0.86, 60] }), points: { show: false } }];
      const axes = [axis(block.xLabel + (view.sorted ? " (by rank)" : ""), false, 2), axis(block.yLabel, false, 3)];
      axes[0].grid = { show: false };
      return { data: [values.map((_, i) => i), values], opts: options(view, plot, scales, axes, bars) };
    };
    button(tools, "Sort by value", false, (on) => {
      order = block.values.map((_, i) => i);
      if (on) order.sort((a, b) => (block.values[b] ?? -Infinity) - (block.values[a] ?? -Infinity));
      view.sorted = on;
      view.draw();
    });
  }

  // Rows of any block as [header, ...rows]: the table that stands in for a picture, and the CSV file.
  function table(block) {
    if (block.kind === "table") return [block.columns, ...block.rows];
    if (block.kind === "channels") return [[block.xLabel, block.yLabel || "value"], ...block.values.map((v, i) => [i, v])];
    if (block.kind === "bars") {
      const total = (r) => block.parts.reduce((sum, part) => sum + part.values[r], 0);
      return [["", ...block.parts.map((part) => part.name), "total (" + block.unit + ")"],
        ...block.rows.map((name, r) => [name, ...block.parts.map((part) => part.values[r]), total(r)])];
    }
    const noted = block.series.some((one) => one.notes.length > 0);
    const rows = block.series.flatMap((one) => one.x.map((x, i) => [one.name, x, one.y[i], one.labels[i] ?? "", ...(noted ? [one.notes[i] ?? ""] : [])]));
    const references = block.references.map((one) => [one.name, "", one.y, "", ...(noted ? [""] : [])]);
    return [["series", block.xLabel || "x", block.yLabel || "y", "label", ...(noted ? ["how"] : [])], ...rows, ...references];
  }

  const save = (name, type, text) => saveBlob(name, new Blob([text], { type }));

  function saveBlob(name, blob) {
    const link = make("a", document.body, { href: URL.createObjectURL(blob), download: name });
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // Quotes as RFC 4180; a leading sign of a formula is defused, since CSV files are opened by spreadsheets.
  function csvCell(cell) {
    let text = cell === null ? "" : String(cell);
    if (typeof cell === "string" && /^[=+\-@\t]/.test(text) && Number.isNaN(Number(text))) text = "'" + text;
    return /[",\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  }

  const fileName = (title) => (title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "") || "data").slice(0, 60);

  function tableView(block, figure) {
    const details = make("details", figure);
    make("summary", details, { textContent: "Show as a table" });
    details.addEventListener("toggle", () => {
      if (!details.open || details.children.length > 1) return;
      const [head, ...rows] = table(block);
      const scroll = make("div", details, { className: "scroll", tabIndex: 0 });
      scroll.setAttribute("role", "region");
      scroll.setAttribute("aria-label", block.title);
      const element = make("table", scroll);
      const top = make("tr", make("thead", element));
      const numeric = head.map((_, c) => rows.every((row) => typeof row[c] !== "string" || row[c] === ""));
      head.forEach((text, c) => { make("th", top, { scope: "col", textContent: text, className: numeric[c] ? "number" : "" }); });
      const body = make("tbody", element);
      for (const row of rows) {
        const line = make("tr", body);
        row.forEach((cell, c) => make("td", line, { textContent: typeof cell === "string" ? cell : show(cell), className: numeric[c] ? "number" : "" }));
      }
    });
  }

  // The canvas has no background of its own, and a picture without its title is soon a riddle.
  function savePicture(block, view) {
    const source = view.u.ctx.canvas, head = 34 * devicePixelRatio;
    const picture = Object.assign(document.createElement("canvas"), { width: source.width, height: source.height + head });
    const ctx = picture.getContext("2d");
    ctx.fillStyle = colour("card");
    ctx.fillRect(0, 0, picture.width, picture.height);
    ctx.fillStyle = colour("text");
    ctx.font = "600 " + 15 * devicePixelRatio + "px system-ui, sans-serif";
    ctx.fillText(block.title, 12 * devicePixelRatio, 22 * devicePixelRatio);
    ctx.drawImage(source, 0, head);
    picture.toBlob((blob) => saveBlob(fileName(block.title) + ".png", blob));
  }

  function setUp(block, figure) {
    const drawn = block.kind === "plot" || block.kind === "channels";
    const tools = make("div", figure, { className: "tools" });
    if (drawn) {
      const plot = make("div", figure, { className: "plot", tabIndex: 0 });
      figure.insertBefore(plot, tools);
      plot.setAttribute("role", "img");
      plot.setAttribute("aria-label", block.title + ". Arrow keys read the values; the table below holds all of them.");
      const view = { block, u: null };
      view.draw = () => {
        if (view.u) view.u.destroy();
        const { data, opts } = view.build();
        view.u = new uPlot(opts, data, plot);
      };
      (block.kind === "plot" ? plotBlock : channelsBlock)(block, figure, plot, tools, view);
      keyboard(plot, view);
      view.draw();
      plots.push(view);
      let width = plot.clientWidth;
      new ResizeObserver(() => {
        if (plot.clientWidth === width) return;
        width = plot.clientWidth;
        view.draw();
      }).observe(plot);
    }
    button(tools, "Save CSV", null, () => save(fileName(block.title) + ".csv", "text/csv", table(block).map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n"));
    if (drawn) button(tools, "Save PNG", null, () => savePicture(block, plots.find((view) => view.block === block)));
    if (drawn) make("span", tools, { className: "hint", textContent: "Drag to zoom, double-click to reset." });
    if (block.kind !== "table") tableView(block, figure);
  }

  function origin() {
    const source = document.getElementById("document");
    if (source) {
      document.getElementById("save-json").addEventListener("click", () => save(fileName(document.title) + ".json", "application/json", source.textContent));
      const raw = document.getElementById("raw");
      raw.addEventListener("toggle", () => {
        if (raw.open) raw.querySelector("pre").textContent = JSON.stringify(JSON.parse(source.textContent), null, 2);
      });
    }
    for (const copy of document.querySelectorAll("[data-copy]")) {
      copy.addEventListener("click", () => {
        const range = document.createRange();
        range.selectNodeContents(document.getElementById(copy.dataset.copy));
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        const done = () => { copy.textContent = "Copied"; setTimeout(() => { copy.textContent = "Copy"; }, 1500); };
        if (navigator.clipboard) navigator.clipboard.writeText(range.toString()).then(done, () => {});
        else if (document.execCommand("copy")) done();
      });
    }
  }

  document.addEventListener("pointermove", (event) => {
    const part = event.target.closest ? event.target.closest("[data-tip]") : null;
    if (part) place(part.dataset.tip, event.clientX, event.clientY);
    else if (!(event.target.closest && event.target.closest(".plot"))) place("", 0, 0);
  });
  dark.addEventListener("change", () => plots.forEach((view) => view.draw()));

  for (const figure of document.querySelectorAll("figure[data-block]")) setUp(blocks[figure.dataset.block], figure);
  origin();
  root.dataset.plots = String(plots.length);
})();
