// Principal components of one chunk with both factors in 8 bits, the "PCA + int8" that peers have tried. The right
// singular vectors come from the eigenvectors of the smaller Gram matrix and are rounded first; the left factor is then
// the least-squares answer to the rounded ones, which takes back most of that rounding. Its columns are brought to one
// scale, so that one int8 scale a token serves all components and an outlier token harms itself alone.
#include "plain/low_rank_codec.h"

#include <fmt/format.h>

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <exception>

#include "base/bytes.h"
#include "base/half.h"
#include "plain/payload_size.h"

namespace sluice {
namespace {

constexpr size_t kMaxGramSize = 2048;
constexpr Eigen::Index kPiece = 256;      // rows or columns widened to double at a time
constexpr double kRankTolerance = 1e-12;  // of the largest eigenvalue
constexpr float kLargestMagnitude = 0x1p72f;
constexpr float kLargestGain = 0x1p80f;  // with |u v| < 2^14, scale < 2^16, rank < 2^11 a sum stays finite
constexpr double kLevels = 127.0;

using Factor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Floats = Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

Eigen::Index Pieces(Eigen::Index begin, Eigen::Index size) { return std::min(kPiece, size - begin); }

// X'X or XX', whichever is smaller.
Eigen::MatrixXd SmallerGram(const Floats& x) {
  const bool by_channel = x.cols() <= x.rows();
  const Eigen::Index size = std::min(x.rows(), x.cols()), other = std::max(x.rows(), x.cols());
  Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(size, size);
  for (Eigen::Index i = 0; i < other; i += kPiece) {
    Eigen::MatrixXd piece = by_channel ? Eigen::MatrixXd(x.middleRows(i, Pieces(i, other)).cast<double>().transpose())
                                       : Eigen::MatrixXd(x.middleCols(i, Pieces(i, other)).cast<double>());
    gram.selfadjointView<Eigen::Lower>().rankUpdate(piece);
  }
  return gram;
}

// The leading right singular vectors, one a row, not normalized.
Factor RightVectors(const Floats& x, Eigen::Index most) {
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(SmallerGram(x));
  const Eigen::VectorXd& values = solver.eigenvalues();  // ascending
  const Eigen::Index size = values.size();
  Eigen::Index rank = 0;
  const double largest = values[size - 1];
  while (rank < std::min(most, size) && values[size - 1 - rank] > kRankTolerance * largest) ++rank;
  Factor leading = solver.eigenvectors().rightCols(rank).rowwise().reverse().transpose();
  if (x.cols() <= x.rows()) return leading;
  Factor right(rank, x.cols());
  for (Eigen::Index i = 0; i < x.cols(); i += kPiece) {
    const Eigen::Index n = Pieces(i, x.cols());
    right.middleCols(i, n) = leading * x.middleCols(i, n).cast<double>();
  }
  return right;
}

void RoundRows(Factor& rows) {
  for (Eigen::Index j = 0; j < rows.rows(); ++j) {
    const double largest = rows.row(j).cwiseAbs().maxCoeff();
    rows.row(j) = (rows.row(j) * (kLevels / largest)).array().rint();
  }
}

// The factor U that brings U * right nearest to x.
Factor LeftFactor(const Floats& x, const Factor& right) {
  Factor product(x.rows(), right.rows());
  for (Eigen::Index i = 0; i < x.rows(); i += kPiece) {
    const Eigen::Index n = Pieces(i, x.rows());
    product.middleRows(i, n) = x.middleRows(i, n).cast<double>() * right.transpose();
  }
  const Eigen::MatrixXd gram = right * right.transpose();
  return gram.ldlt().solve(product.transpose()).transpose();
}

class LowRankCodec : public HiddenCodec {
 public:
  explicit LowRankCodec(int rank) : rank_(rank) {}

  std::string name() const override { return fmt::format("lowrank:{}", rank_); }

  Result<std::vector<uint8_t>> Encode(MatrixView<const float> hidden) const override {
    SLUICE_RETURN_IF_ERROR(CheckFinite(hidden));
    SLUICE_RETURN_IF_ERROR(CheckRange(hidden));
    try {
      const Floats x(hidden.data(), static_cast<Eigen::Index>(hidden.rows()), static_cast<Eigen::Index>(hidden.cols()));
      Factor right = RightVectors(x, rank_);
      RoundRows(right);
      return Write(LeftFactor(x, right), right, hidden.rows(), hidden.cols());
    } catch (const std::exception& error) {
      return Internal(fmt::format("lowrank: {}", error.what()));
    }
  }

  Status CheckPayload(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    if (payload.size() < sizeof(uint16_t)) return Truncated("lowrank payload ends before its rank");
    const size_t rank = LoadLe<uint16_t>(payload.data());
    if (rank > std::min({tokens, width, size_t{kMaxLowRank}})) {
      return Corrupt(fmt::format("lowrank payload: rank {} of {} tokens of width {}", rank, tokens, width));
    }
    return CheckPayloadSize("lowrank", payload.size(), PayloadSize(rank, tokens, width));
  }

  Result<Matrix<float>> Decode(std::span<const uint8_t> payload, size_t tokens, size_t width) const override {
    SLUICE_RETURN_IF_ERROR(CheckPayload(payload, tokens, width));
    const size_t rank = LoadLe<uint16_t>(payload.data());
    const uint8_t* components = payload.data() + sizeof(uint16_t);
    for (size_t j = 0; j < rank; ++j) {
      const auto gain = LoadLe<float>(components + j * (sizeof(float) + width));
      if (!(gain >= 0) || gain > kLargestGain) {
        return Corrupt(fmt::format("lowrank payload: component {}: gain {}", j, gain));
      }
    }
    Matrix<float> hidden(tokens, width);
    const uint8_t* from = components + rank * (sizeof(float) + width);
    for (size_t t = 0; t < tokens; ++t, from += sizeof(uint16_t) + rank) {
      const float scale = HalfToFloat(LoadLe<uint16_t>(from));
      if (!(scale >= 0) || std::isinf(scale)) {
        return Corrupt(fmt::format("lowrank payload: token {}: scale {}", t, scale));
      }
      AddComponents(components, rank, scale, from + sizeof(uint16_t), hidden.row(t));
    }
    return hidden;
  }

 private:
  static size_t PayloadSize(size_t rank, size_t tokens, size_t width) {
    return sizeof(uint16_t) + rank * (sizeof(float) + width) + tokens * (sizeof(uint16_t) + rank);
  }

  static Status CheckRange(MatrixView<const float> hidden) {
    if (std::min(hidden.rows(), hidden.cols()) > kMaxGramSize) {
      return InvalidArgument(fmt::format("lowrank: a chunk of {} tokens of width {}, one of the two must be at most {}",
                                         hidden.rows(), hidden.cols(), kMaxGramSize));
    }
    for (size_t i = 0; i < hidden.size(); ++i) {
      if (std::fabs(hidden.data()[i]) > kLargestMagnitude) {
        return InvalidArgument(fmt::format("token {}, channel {}: {} is beyond lowrank's largest magnitude, 2^72",
                                           i / hidden.cols(), i % hidden.cols(), hidden.data()[i]));
      }
    }
    return OkStatus();
  }

  static std::vector<uint8_t> Write(Factor left, const Factor& right, size_t tokens, size_t width) {
    const auto rank = static_cast<size_t>(right.rows());
    std::vector<uint8_t> payload(PayloadSize(rank, tokens, width));
    uint8_t* to = payload.data();
    StoreLe(static_cast<uint16_t>(rank), to);
    to += sizeof(uint16_t);
    for (Eigen::Index j = 0; j < right.rows(); ++j) {
      const auto gain = static_cast<float>(std::sqrt(left.col(j).squaredNorm() / static_cast<double>(tokens)));
      if (gain > 0) left.col(j) /= double{gain};
      StoreLe(gain, to);
      to += sizeof(gain);
      for (Eigen::Index c = 0; c < right.cols(); ++c) *to++ = Byte(right(j, c));
    }
    for (Eigen::Index t = 0; t < left.rows(); ++t) {
      const double largest = rank == 0 ? 0.0 : left.row(t).cwiseAbs().maxCoeff();
      const uint16_t word = FloatToHalf(static_cast<float>(largest / kLevels));
      const double scale = HalfToFloat(word);
      StoreLe(word, to);
      to += sizeof(word);
      for (Eigen::Index j = 0; j < left.cols(); ++j) *to++ = Byte(scale == 0 ? 0.0 : left(t, j) / scale);
    }
    return payload;
  }

  static uint8_t Byte(double value) {
    return static_cast<uint8_t>(static_cast<int8_t>(std::clamp(std::nearbyint(value), -kLevels, kLevels)));
  }

  static void AddComponents(const uint8_t* components, size_t rank, float scale, const uint8_t* u,
                            std::span<float> row) {
    for (size_t j = 0; j < rank; ++j) {
      const uint8_t* component = components + j * (sizeof(float) + row.size());
      const float factor = scale * LoadLe<float>(component) * static_cast<float>(static_cast<int8_t>(u[j]));
      const uint8_t* v = component + sizeof(float);
      for (size_t c = 0; c < row.size(); ++c) row[c] += factor * static_cast<float>(static_cast<int8_t>(v[c]));
    }
  }

  int rank_;
};

}  // namespace

Result<std::unique_ptr<HiddenCodec>> MakeLowRankCodec(int rank) {
  if (rank < 1 || rank > kMaxLowRank) {
    return InvalidArgument(fmt::format("lowrank has ranks 1 to {}, got {}", kMaxLowRank, rank));
  }
  return std::unique_ptr<HiddenCodec>(std::make_unique<LowRankCodec>(rank));
}

}  // namespace sluice
