#ifndef SLUICE_NEURAL_CONTEXT_NETWORK_H_
#define SLUICE_NEURAL_CONTEXT_NETWORK_H_

#include <cstdint>
#include <span>
#include <vector>

#include "neural/context_config.h"

namespace sluice {

/// An int8 matrix with a power of two for every row: weight = value * 2^-shift.
struct ShiftedMatrix {
  int64_t rows = 0, columns = 0;
  std::vector<int8_t> values;  ///< row-major
  std::vector<int32_t> shifts;
};

/// The integers of a context codec: everything that both ends must agree on.
/// Data: tables are int8 [ids + 1, m] in units of 2^-5, the last row stands for the time before the chunk; biases
/// int32, hidden ones in units of 2^-12, outputs' of 2^-10. Source: docs/numerics.md.
struct ContextNetwork {
  ContextConfig config;
  ShiftedMatrix input;                           ///< W [m, d], latents to hidden units; empty without latents
  ShiftedMatrix past;                            ///< P [m, 2 m], features and leaky states of the past to hidden units
  ShiftedMatrix output;                          ///< O [2 d, m], hidden units to means and logarithms of scales; of the
                                                 ///< latter only the first ScaleUnits() columns are not zero
  std::vector<int32_t> base_bias, feature_bias;  ///< [m]
  std::vector<int32_t> point_bias;               ///< [points, m]
  std::vector<int32_t> output_bias;              ///< [2 d]
  std::vector<int32_t> channel_exponent;         ///< [d], log2 of the unit in which a channel is seen
  std::vector<int8_t> now, previous, before;     ///< tables added to hidden units, by the ids of t, t - 1, t - 2
  std::vector<int8_t> feature_now, feature_previous;  ///< tables added to features
  std::vector<int8_t> pair;                           ///< [2^pair_bits, m], by the ids of t - 1 and t
  std::vector<int8_t> direct_now, direct_previous;    ///< [ids + 1, 2 d], added to outputs

  /// Errors: InvalidArgument when sizes do not fit the configuration, a shift is out of range, or sums could leave 32
  /// bits: for every row, 2047 times the sum of the magnitudes must stay below 2^30.
  Status Check() const;
};

/// Parameters of one sequence, token by token and in a token group by group.
///
/// Use: Begin, then for each token BeginToken, for each group Parameters and Absorb, then EndToken.
/// Exact: integers only, the same on every machine; the result depends on nothing but the ids and latents absorbed.
/// Cost: of latents, means and scales d multiply-adds a token for each hidden unit that has to do with them, and 2 m^2;
/// constant memory.
class ContextRun {
 public:
  /// Needs: network.Check() is Ok; the network outlives the run; point in [0, points).
  ContextRun(const ContextNetwork& network, int point);

  void Begin();
  /// Data: id in [0, id_count), ignored without ids.
  void BeginToken(int32_t id);
  /// Mean and scale index of the group's channels. Data: whole arrays [d]; only the group's part is written.
  void Parameters(int64_t group, std::span<int32_t> mean_q4, std::span<uint8_t> scale);
  /// Takes in the group's latents. Data: whole array [d].
  void Absorb(int64_t group, std::span<const int32_t> latent);
  void EndToken();

 private:
  int32_t Activate(size_t unit, int32_t base) const;

  const ContextNetwork& network_;
  int point_;
  int32_t ids_[3];              // of t, t - 1, t - 2
  std::vector<int16_t> past_;   // features and leaky states of t - 1
  std::vector<int32_t> leaky_;  // Q14
  std::vector<int32_t> base_;   // Q12, before the latents of t
  std::vector<int32_t> feature_base_;
  std::vector<int32_t> sums_;  // W n of the latents of t so far; 0 without latents
  std::vector<int16_t> hidden_;
};

/// Bucket of a pair of ids in the pair table.
uint32_t PairBucket(const ContextConfig& config, int32_t id, int32_t previous);

/// How fast leaky state `unit` forgets: it keeps 1 - 2^-k a token.
int LeakShift(int64_t unit, int64_t hidden);

}  // namespace sluice

#endif  // SLUICE_NEURAL_CONTEXT_NETWORK_H_
