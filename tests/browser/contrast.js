// What does not stand out enough from its ground: texts (4.5 to 1, large ones 3 to 1) and parts of drawings (3 to 1),
// by the formula of the Web Content Accessibility Guidelines 2.2, from the colours that the browser has computed.
() => {
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const linear = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ratio = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const colour = rgb(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const drawn = ".flow .mark-rect path, .times .mark-rect path, .scores .mark-symbol path";
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const svg = element.ownerSVGElement;
    if ([...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim())) {
      const size = parseFloat(style.fontSize);
      const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
      const value = ratio(rgb(svg ? style.fill : style.color), ground(svg ?? element));
      if (value < least) found.push([element.textContent.slice(0, 40), value]);
    } else if (svg && element.matches(drawn) && element.getAttribute("fill") !== "var(--line)") {
      const value = ratio(rgb(style.fill), ground(svg));
      if (value < 3) found.push([element.getAttribute("fill"), value]);
    }
  }
  return found;
}
