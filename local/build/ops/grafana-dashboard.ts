/** The Grafana dashboard as JSON, to be imported as it is. */

import { type Panel, ROWS, type Target } from './grafana-panels.ts';

const DATASOURCE = { type: 'prometheus', uid: '$datasource' };
const WIDTH = 24;
const HEIGHT = 8;
const ROW_HEIGHT = 1;

export function grafanaDashboard(): string {
  const panels: object[] = [];
  let y = 0;
  for (const row of ROWS) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title: row.title,
      collapsed: false,
      gridPos: { x: 0, y, w: WIDTH, h: ROW_HEIGHT },
      panels: [],
    });
    y += ROW_HEIGHT;
    const width = WIDTH / row.panels.length;
    row.panels.forEach((panel, at) => {
      panels.push({
        id: panels.length + 1,
        ...panelOf(panel),
        gridPos: { x: at * width, y, w: width, h: HEIGHT },
      });
    });
    y += HEIGHT;
  }
  return `${JSON.stringify(dashboardOf(panels), null, 2)}\n`;
}

function dashboardOf(panels: readonly object[]): object {
  return {
    title: 'Sluice',
    uid: 'sluice',
    description: 'Made from the table of metrics by local/build/ops.ts. Changes here are lost.',
    tags: ['sluice'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    timezone: 'browser',
    graphTooltip: 1,
    templating: {
      list: [
        { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus' },
        variable('sink', 'Sink', 'label_values(sluice_report_timestamp_seconds, sink)'),
        variable('shard', 'Shard', 'label_values(sluice_report_timestamp_seconds{sink=~"$sink"}, shard)'),
      ],
    },
    panels,
  };
}

function variable(name: string, label: string, query: string): object {
  return {
    name,
    label,
    type: 'query',
    datasource: DATASOURCE,
    query: { query, refId: name },
    definition: query,
    refresh: 2,
    sort: 3,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { selected: true, text: ['All'], value: ['$__all'] },
  };
}

function panelOf({ title, description, unit, targets }: Panel): object {
  return {
    type: 'timeseries',
    title,
    description,
    datasource: DATASOURCE,
    fieldConfig: {
      defaults: { unit, min: 0, custom: { lineWidth: 1, fillOpacity: 5, showPoints: 'never' } },
      overrides: [],
    },
    options: {
      legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
    targets: targets.map(targetOf),
  };
}

function targetOf({ expr, legend }: Target, at: number): object {
  return {
    refId: String.fromCharCode('A'.charCodeAt(0) + at),
    datasource: DATASOURCE,
    expr,
    legendFormat: legend,
    range: true,
  };
}
