// Nothing is computed here but the inverse of the transform and the gains: the integers of a trained codec are deployed
// as they are.
#include "neural/context_export.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "backbone/torch_setup.h"
#include "base/bytes.h"
#include "format/pack.h"
#include "format/stream.h"

namespace sluice {
namespace {

constexpr const char* kCodecName = "context";
constexpr int kMostPrecision = 14;

template <typename Int>
void AddIntegers(const char* name, std::vector<uint64_t> shape, const std::vector<Int>& values, PackWriter& pack) {
  ByteWriter bytes;
  for (const Int value : values) bytes.Put(value);
  pack.AddTensor({name, sizeof(Int) == 1 ? DType::kI8 : DType::kI32, std::move(shape), bytes.bytes()});
}

void AddFloats(const char* name, const torch::Tensor& tensor, PackWriter& pack) {
  const auto flat = tensor.to(torch::kFloat32).contiguous();
  ByteWriter bytes;
  for (int64_t i = 0; i < flat.numel(); ++i) bytes.Put(flat.data_ptr<float>()[i]);
  pack.AddTensor({name, DType::kF32, {flat.sizes().begin(), flat.sizes().end()}, bytes.bytes()});
}

void AddNetwork(const ContextNetwork& network, PackWriter& pack) {
  const ContextConfig& config = network.config;
  const auto d = static_cast<uint64_t>(config.width), m = static_cast<uint64_t>(config.hidden);
  const auto points = static_cast<uint64_t>(config.points), rows = static_cast<uint64_t>(config.id_count) + 1;
  const std::vector<int32_t> shape = {static_cast<int32_t>(config.hidden),      static_cast<int32_t>(config.groups),
                                      static_cast<int32_t>(config.points),      static_cast<int32_t>(config.ids),
                                      static_cast<int32_t>(config.id_count),    static_cast<int32_t>(config.pair_bits),
                                      static_cast<int32_t>(config.direct),      config.latents ? 1 : 0,
                                      static_cast<int32_t>(config.ScaleUnits())};
  AddIntegers("shape", {shape.size()}, shape, pack);
  if (config.latents) AddIntegers("input.weights", {m, d}, network.input.values, pack);
  if (config.latents) AddIntegers("input.shifts", {m}, network.input.shifts, pack);
  AddIntegers("past.weights", {m, 2 * m}, network.past.values, pack);
  AddIntegers("past.shifts", {m}, network.past.shifts, pack);
  AddIntegers("output.weights", {2 * d, m}, network.output.values, pack);
  AddIntegers("output.shifts", {2 * d}, network.output.shifts, pack);
  AddIntegers("base_bias", {m}, network.base_bias, pack);
  AddIntegers("feature_bias", {m}, network.feature_bias, pack);
  AddIntegers("point_bias", {points, m}, network.point_bias, pack);
  AddIntegers("output_bias", {2 * d}, network.output_bias, pack);
  AddIntegers("channel_exponent", {d}, network.channel_exponent, pack);
  if (config.ids == ContextIds::kNone) return;
  AddIntegers("table.now", {rows, m}, network.now, pack);
  AddIntegers("table.previous", {rows, m}, network.previous, pack);
  AddIntegers("table.before", {rows, m}, network.before, pack);
  AddIntegers("table.feature_now", {rows, m}, network.feature_now, pack);
  AddIntegers("table.feature_previous", {rows, m}, network.feature_previous, pack);
  if (config.pair_bits > 0) AddIntegers("table.pair", {uint64_t{1} << config.pair_bits, m}, network.pair, pack);
  if (config.direct > 0) AddIntegers("table.direct_now", {rows, 2 * d}, network.direct_now, pack);
  if (config.direct > 1) AddIntegers("table.direct_previous", {rows, 2 * d}, network.direct_previous, pack);
}

std::vector<PackTable> TablesOf(std::span<const StaticTable> tables) {
  std::vector<PackTable> all;
  for (const StaticTable& table : tables) all.push_back({0, true, table.Frequencies()});
  return all;
}

void AddTransform(const StoredContext& stored, PackWriter& pack) {
  const ContextTransform& transform = stored.transform;
  AddFloats("offset", transform.offset, pack);
  AddFloats("axes", transform.axes, pack);
  AddFloats("inverse", torch::inverse(transform.axes.to(torch::kDouble)), pack);
  AddFloats("gain", torch::exp(transform.log_gain), pack);
  AddFloats("centroid", transform.centroid, pack);
  const auto order = transform.order.to(torch::kInt32).contiguous();
  const std::vector<int32_t> axes(order.data_ptr<int32_t>(), order.data_ptr<int32_t>() + order.numel());
  AddIntegers("order", {axes.size()}, axes, pack);
  if (stored.classes.empty()) return;
  const bool classes = stored.network.config.ids == ContextIds::kClasses;
  if (classes) AddFloats("class_axes", transform.class_axes, pack);
  if (classes) AddFloats("class_means", transform.class_means, pack);
  const IdTables& tables = stored.classes;
  pack.AddTables(classes ? "classes" : "ids", TablesOf(tables.first()));
  if (tables.sizes().empty()) return;
  const std::vector<int32_t> sizes(tables.sizes().begin(), tables.sizes().end());
  AddIntegers("class_sizes", {sizes.size()}, sizes, pack);
  pack.AddTables("class_places", TablesOf(tables.places()));
}

}  // namespace

Result<std::vector<uint8_t>> PackContext(const StoredContext& stored) {
  SLUICE_RETURN_IF_ERROR(stored.network.Check());
  const ContextConfig& config = stored.network.config;
  if (config.precision_bits > kMostPrecision) {
    return InvalidArgument(fmt::format("tables of {} bits: packs of codec context have at most {}",
                                       config.precision_bits, kMostPrecision));
  }
  return CatchTorch([&]() -> Result<std::vector<uint8_t>> {
    torch::NoGradGuard no_grad;
    PackWriter pack({.codec = kCodecName,
                     .flags = static_cast<uint16_t>(config.ids == ContextIds::kTokens ? kSideTokens : 0),
                     .model_hash = stored.origin.model,
                     .width = static_cast<uint32_t>(config.width),
                     .cut = static_cast<uint16_t>(stored.origin.cut),
                     .precision_bits = static_cast<uint8_t>(config.precision_bits)});
    AddNetwork(stored.network, pack);
    AddTransform(stored, pack);
    std::vector<OperatingPoint> points;
    for (int64_t p = 0; p < config.points; ++p) {
      points.push_back({fmt::format("p{}", p), stored.origin.lambda * std::exp2(p - config.points / 2), 0});
    }
    pack.SetOperatingPoints(std::move(points));
    pack.SetMetadata(config.ToJson().dump());
    return pack.Serialize();
  });
}

}  // namespace sluice
