#ifndef SLUICE_PAGE_PAGE_SAMPLE_H_
#define SLUICE_PAGE_PAGE_SAMPLE_H_

#include <cmath>
#include <string>

#include "page/page_content.h"

// Pages for the tests: one with every kind of block, one with foreign text in every place that takes text.
namespace sluice {

inline PlotBlock SampleCurve() {
  PlotSeries training{.name = "training"};
  PlotSeries validation{.name = "validation", .points = true};
  for (int step = 10; step <= 2000; step += 10) {
    training.x.push_back(step);
    training.y.push_back(150 + 900 * std::exp(-step / 150.0) + 14 * std::sin(step * 0.7) * std::exp(-step / 900.0));
    if (step % 250 != 0) continue;
    validation.x.push_back(step);
    validation.y.push_back(153 + 900 * std::exp(-step / 150.0));
  }
  return {.title = "Rate while training",
          .caption = "Estimated bits per token of training batches, and real bytes on the validation text.",
          .x_label = "step",
          .y_label = "bits per token",
          .log_y = true,
          .series = {training, validation},
          .references = {{"static tables", 172}}};
}

inline PlotBlock SampleRateDistortion() {
  return {
      .title = "Rate against distortion",
      .caption = "Each point is one operating point; lower and further left is better.",
      .x_label = "bits per token",
      .y_label = "perplexity",
      .log_x = true,
      .series =
          {{.name = "paper, frozen",
            .x = {128.4, 151.8, 190.2, 260.9},
            .y = {4.62, 4.29, 4.22, 4.19},
            .labels = {"λ 0.01", "λ 0.005", "λ 0.002", "λ 0.001"},
            .notes = {"run a, seed 1\nsluice train --lambda 1e-2", "run b, seed 1", "run c, seed 1", "run d, seed 1"},
            .points = true},
           {.name = "static tables", .x = {143.0, 172.3, 214.0, 301.5}, .y = {4.63, 4.30, 4.23, 4.19}, .points = true},
           {.name = "fp16", .x = {1024}, .y = {4.1806}, .labels = {"raw fp16"}, .line = false, .points = true}},
      .references = {{"uncut model", 4.1806}}};
}

// In how many places of `text` one finds `what`.
inline size_t Occurrences(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

inline PageContent SamplePage() {
  ChannelsBlock channels{.title = "Bits of every channel",
                         .caption = "Mean over the validation text; channels with a large spread cost more.",
                         .y_label = "bits per token"};
  for (int i = 0; i < 64; ++i) channels.values.push_back(1.2 + 3.5 / (1 + 0.12 * i) + 0.3 * std::sin(i * 1.7));
  PageContent content;
  content.title = "stories260K at cut 3, preset paper";
  content.summary =
      "Frozen model, 16,384 tokens of held-out text in chunks of 256. Rates are bytes written, headers included.";
  content.facts = {{"bits per token", "151.8", "165 allowed"},
                   {"perplexity", "4.29", "+2.6 % over the uncut 4.181"},
                   {"top-1 agreement", "93.4 %", ""},
                   {"KL from the uncut model", "0.0261", "nats per token"},
                   {"smaller than fp16", "6.7×", "1,024 bits per token"}};
  content.blocks = {
      SampleCurve(), SampleRateDistortion(),
      BarsBlock{.title = "Rate by part",
                .caption = "What a token costs, and what general compressors need for the same hidden states.",
                .unit = "bits per token",
                .rows = {"paper", "static tables", "zstd -3 on int8", "deflate on int8"},
                .parts = {{"hyper", {11.2, 0, 0, 0}},
                          {"latent", {138.4, 171.6, 221.9, 239.0}},
                          {"overhead", {2.2, 1.9, 0.6, 0.6}}}},
      channels,
      TableBlock{.title = "Against general compressors",
                 .caption = "The same hidden states, the same process.",
                 .columns = {"codec", "bits per token", "bits per element", "ratio to fp16"},
                 .rows = {{"paper", "151.8", "2.37", "6.75"},
                          {"zstd on fp16", "981.2", "15.33", "1.04"},
                          {"deflate on fp16", "979.9", "15.31", "1.04"},
                          {"fp16", "1,024.0", "16.00", "1.00"}}}};
  content.machine = {{"CPU", "AMD EPYC 9R14, 2 cores"},    {"memory", "24 GiB"},
                     {"BLAS", "OpenBLAS 0.3.21 (OpenMP)"}, {"threads", "2"},
                     {"compiler", "g++ 12.2.0"},           {"version", "sluice 0.1.0"}};
  content.command = "sluice eval --model stories260K --codec out/codec --text validation.txt --json --report eval.html";
  content.json = R"({"bits_per_token": 151.8, "perplexity": 4.29, "tokens": 16384})";
  return content;
}

inline PageContent HostilePage(const std::string& text) {
  PageContent content;
  content.title = content.summary = content.command = text;
  content.json = "{}";
  content.facts = {{text, text, text}};
  content.machine = {{text, text}};
  content.blocks = {
      PlotBlock{
          .title = text,
          .caption = text,
          .x_label = text,
          .y_label = text,
          .series =
              {{.name = text, .x = {1, 2}, .y = {1, 2}, .labels = {text, text}, .notes = {text, text}, .points = true},
               {.name = text}},
          .references = {{text, 1.5}}},
      BarsBlock{.title = text, .caption = text, .unit = text, .rows = {text}, .parts = {{text, {1}}}},
      ChannelsBlock{.title = text, .caption = text, .x_label = text, .y_label = text, .values = {1, 2}},
      TableBlock{.title = text, .caption = text, .columns = {text, text}, .rows = {{text, text}}}};
  return content;
}

}  // namespace sluice

#endif  // SLUICE_PAGE_PAGE_SAMPLE_H_
