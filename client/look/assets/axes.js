// Axes of charts, and how their times are formatted.

function axis(options) {
  return {
    stroke: () => colors.muted, font: "12px system-ui, sans-serif",
    grid: { stroke: () => colors.grid, width: 1 }, ticks: { stroke: () => colors.grid, width: 1, size: 5 },
    ...options,
  };
}

const narrow = () => innerWidth <= 600;

const yAxis = (options) => axis({ scale: "y", size: narrow() ? 52 : 64, ...options });

const LEAST = 1e-6; // seconds; where a latency of 0 is drawn

// logRange returns the ends of a logarithmic axis, with some room around the values.
function logRange(...lists) {
  let [low, high] = [Infinity, LEAST];
  for (const values of lists) {
    for (let i = 0; i < values.length; i++) {
      if (values[i] > high) high = values[i];
      if (values[i] < low && values[i] > 0) low = values[i];
    }
  }
  return [Math.max(Math.min(low, high), LEAST) / 1.5, high * 1.7];
}

// powersWithin returns 1, 2 and 5 times the powers of ten in a range, or the powers alone if its
// ends differ by more than a factor of wide.
function powersWithin(min, max, wide) {
  const steps = max / min > wide ? [1] : [1, 2, 5];
  const found = [];
  for (let power = Math.floor(Math.log10(min)); 10 ** power <= max; power++) {
    found.push(...steps.map((s) => s * 10 ** power));
  }
  return found.filter((s) => s >= min && s <= max);
}

const latencyAxis = (wide = 5000) => yAxis({
  splits: (u, i, min, max) => powersWithin(min, max, wide), filter: (u, splits) => splits,
  values: (u, splits) => splits.map(duration),
});

// duration formats seconds for people, with three digits.
function duration(s) {
  const short = (v) => String(Number(v.toPrecision(3)));
  if (s === 0) return "0 s";
  if (Math.abs(s) < 0.000999) return short(s * 1e6) + " µs";
  if (Math.abs(s) < 0.999) return short(s * 1e3) + " ms";
  return short(s) + " s";
}
