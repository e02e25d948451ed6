/**
 * Draws one panel with the components of Grafana's own panel of that type.
 *
 * Only the panel types that the boards use are supported.
 */
import {
  type DataFrame,
  dateTime,
  type DisplayValueAlignmentFactors,
  type FieldDisplay,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  type GrafanaTheme2,
} from "@grafana/data";
import { BarGauge, BigValue, TimeSeries, useTheme2, VizRepeater, type VizRepeaterRenderValueProps } from "@grafana/ui";
import { TableNG } from "@grafana/ui/unstable";
import type { ReactElement } from "react";

import type { Panel } from "./board";
import { Annotations, type Event } from "./annotations";
import type { Span } from "./prometheus";

export interface Drawn {
  panel: Panel;
  frames: DataFrame[];
  events: Event[];
  span: Span;
  width: number;
  height: number;
}

type One = VizRepeaterRenderValueProps<FieldDisplay, DisplayValueAlignmentFactors>;

export function Visualization(drawn: Drawn): ReactElement {
  const theme = useTheme2();
  const { panel, frames } = drawn;
  if (!frames.some((frame) => frame.length > 0)) {
    return <Nothing text={panel.fieldConfig.defaults.noValue ?? "No data"} />;
  }
  switch (panel.type) {
    case "timeseries":
      return <Graph {...drawn} theme={theme} />;
    case "stat":
      return <Repeated {...drawn} theme={theme} spacing={3} autoGrid draw={(one) => figure(one, panel, theme)} />;
    case "bargauge":
      return <Repeated {...drawn} theme={theme} spacing={10} draw={(one) => bar(one, panel, theme)} />;
    case "table":
      return <Rows {...drawn} />;
    default:
      throw new Error(`panel ${panel.title}: no component for ${panel.type}`);
  }
}

/** Grafana's text in place of a panel without data. */
function Nothing({ text }: { text: string }) {
  return <div style={{ display: "grid", placeItems: "center", height: "100%", textAlign: "center" }}>{text}</div>;
}

function Graph({ panel, frames, events, span, width, height, theme }: Drawn & { theme: GrafanaTheme2 }) {
  const range = { from: dateTime(span.from * 1000), to: dateTime(span.to * 1000) };
  return (
    <TimeSeries
      frames={frames}
      timeRange={{ ...range, raw: range }}
      timeZone="utc"
      legend={panel.options.legend}
      width={width}
      height={height}
    >
      {(builder) => <Annotations builder={builder} events={events} theme={theme} />}
    </TimeSeries>
  );
}

interface Repeating extends Drawn {
  theme: GrafanaTheme2;
  spacing: number;
  autoGrid?: boolean;
  draw: (one: One) => ReactElement;
}

/** Figures or bars, one for each series, in the room that there is. */
function Repeated({ panel, frames, width, height, theme, spacing, autoGrid, draw }: Repeating) {
  const getValues = () =>
    getFieldDisplayValues({
      fieldConfig: panel.fieldConfig,
      reduceOptions: panel.options.reduceOptions,
      replaceVariables: (text) => text,
      theme,
      data: frames,
      timeZone: "utc",
    });
  return (
    <VizRepeater
      source={frames}
      getValues={getValues}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={draw}
      renderCounter={0}
      width={width}
      height={height}
      itemSpacing={spacing}
      autoGrid={autoGrid}
      minVizWidth={panel.options.minVizWidth}
      minVizHeight={panel.options.minVizHeight}
      maxVizHeight={panel.options.maxVizHeight}
      orientation={panel.options.orientation}
    />
  );
}

function figure({ value, alignmentFactors, width, height, count }: One, { options }: Panel, theme: GrafanaTheme2) {
  return (
    <BigValue
      value={value.display}
      count={count}
      colorMode={options.colorMode}
      graphMode={options.graphMode}
      justifyMode={options.justifyMode}
      textMode={options.textMode}
      disableWideLayout={!options.wideLayout}
      alignmentFactors={alignmentFactors}
      width={width}
      height={height}
      theme={theme}
    />
  );
}

function bar({ value, alignmentFactors, orientation, width, height }: One, { options }: Panel, theme: GrafanaTheme2) {
  return (
    <BarGauge
      value={value.display}
      field={value.field}
      display={value.view?.getFieldDisplayProcessor(value.colIndex ?? 0)}
      displayMode={options.displayMode}
      valueDisplayMode={options.valueMode}
      namePlacement={options.namePlacement}
      showUnfilled={options.showUnfilled}
      text={options.text}
      itemSpacing={10}
      orientation={orientation}
      alignmentFactors={alignmentFactors}
      width={width}
      height={height}
      theme={theme}
    />
  );
}

function Rows({ panel, frames, width, height }: Drawn) {
  const [frame] = frames;
  return frame === undefined ? (
    <Nothing text="No data" />
  ) : (
    <TableNG
      data={frame}
      sortBy={panel.options.sortBy}
      cellHeight={panel.options.cellHeight}
      noHeader={!panel.options.showHeader}
      fieldConfig={panel.fieldConfig}
      enableVirtualization={false}
      width={width}
      height={height}
    />
  );
}
