// Dots of a chart, set pixel by pixel: for tens of thousands of them this is faster than drawing.

// pixelsOf returns an empty picture of the inside of a chart.
function pixelsOf(f) {
  const width = Math.ceil(f.width);
  const height = Math.ceil(f.height);
  return { width, height, data: new Uint32Array(width * height) };
}

// setSquare fills a square of the picture.
function setSquare(pixels, left, top, size, rgba) {
  const [x0, y0] = [Math.max(0, left), Math.max(0, top)];
  const [x1, y1] = [Math.min(pixels.width, left + size), Math.min(pixels.height, top + size)];
  for (let y = y0; y < y1; y++) pixels.data.fill(rgba, y * pixels.width + x0, y * pixels.width + Math.max(x0, x1));
}

function setCross(pixels, x, y, reach, thick, rgba) {
  for (let d = -reach; d <= reach; d++) {
    setSquare(pixels, x + d, y + d, thick, rgba);
    setSquare(pixels, x + d, y - d, thick, rgba);
  }
}

// rgba converts a color from #rrggbb to a pixel.
function rgba(color) {
  const n = parseInt(color.slice(1), 16);
  return new Uint32Array(new Uint8Array([n >> 16, n >> 8, n, 255]).buffer)[0];
}

function paintPixels(f, pixels) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [pixels.width, pixels.height];
  const image = new ImageData(new Uint8ClampedArray(pixels.data.buffer), pixels.width, pixels.height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  f.context.drawImage(canvas, f.left, f.top);
}
