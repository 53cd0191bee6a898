#ifndef SLUICE_CODEC_GAUSSIAN_ARRAYS_H_
#define SLUICE_CODEC_GAUSSIAN_ARRAYS_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "codec/gaussian_block.h"
#include "rans/rans_decoder.h"
#include "rans/rans_stack.h"
#include "simd/rans_kernels.h"

namespace sluice {

/// Encodes arrays from the last to the first. Its bytes are exactly those of RansEncoder with EncodeGaussian.
/// Threads: one at a time. Cost: memory is kept for the next stream, so that after the first ones nothing is allocated.
class GaussianArrayEncoder {
 public:
  /// Borrows the tables. `kernels` are for tests and benchmarks.
  explicit GaussianArrayEncoder(const GaussianArrayTables& tables, const RansKernels& kernels = BestRansKernels());

  /// Begins a stream. Errors: InvalidArgument when `lanes` is outside [1, 64].
  Status Begin(int lanes, uint32_t seal = kRansDefaultSeal);
  /// Encodes values before all those encoded so far. Errors: InvalidArgument when the sizes differ.
  Status Prepend(std::span<const int16_t> values, const GaussianParameters& parameters);
  Status Prepend(std::span<const int32_t> values, const GaussianParameters& parameters);
  /// For elements of other tables, from the last to the first.
  RansStack& stack() { return stack_; }
  /// Appends the stream.
  void Finish(std::vector<uint8_t>& out) { stack_.Finish(out); }

 private:
  template <typename T>
  Status PrependAll(std::span<const T> values, const GaussianParameters& parameters);
  template <typename T>
  void PrependBlock(const T* values);
  void PushOne(int32_t value, size_t i);
  void PushRawBits(int32_t value, size_t i);
  void RunKernel(size_t begin, size_t end);

  const GaussianArrayTables& tables_;
  const RansKernels& kernels_;
  RansStack stack_;
  GaussianBlock block_;
  ReadAhead ahead_;
  std::array<uint16_t, ReadAhead::kPiece + kKernelSlack> words_;
  std::array<uint8_t, GaussianBlock::kSize / 4> marks_;
};

/// Decodes arrays in the order of decoding.
/// Threads: one at a time.
class GaussianArrayDecoder {
 public:
  /// Borrows tables and bytes. Errors: as RansDecoder::Create.
  static Result<GaussianArrayDecoder> Create(const GaussianArrayTables& tables, std::span<const uint8_t> bytes,
                                             int lanes, const RansKernels& kernels = BestRansKernels());

  /// The next values. Damaged bytes yield some values, and Finish tells.
  /// Errors: InvalidArgument when the sizes differ; Corrupt when a value does not fit.
  Status Decode(const GaussianParameters& parameters, std::span<int16_t> values);
  Status Decode(const GaussianParameters& parameters, std::span<int32_t> values);
  /// For elements of other tables in between.
  RansDecoder& decoder() { return decoder_; }
  /// Errors: as RansDecoder::Finish.
  Status Finish(uint32_t seal = kRansDefaultSeal) const { return decoder_.Finish(seal); }

 private:
  GaussianArrayDecoder(const GaussianArrayTables& tables, RansDecoder decoder, const RansKernels& kernels)
      : tables_(tables), kernels_(kernels), decoder_(std::move(decoder)) {}

  template <typename T>
  Status DecodeAll(const GaussianParameters& parameters, std::span<T> values);
  template <typename T>
  bool DecodeBlock(T* values);
  size_t RunKernel();
  uint8_t PopSymbol(size_t i);
  int32_t ValueOf(size_t i);

  const GaussianArrayTables& tables_;
  const RansKernels& kernels_;
  RansDecoder decoder_;
  GaussianBlock block_;
};

}  // namespace sluice

#endif  // SLUICE_CODEC_GAUSSIAN_ARRAYS_H_
