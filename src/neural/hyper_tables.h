#ifndef SLUICE_NEURAL_HYPER_TABLES_H_
#define SLUICE_NEURAL_HYPER_TABLES_H_

#include <torch/torch.h>

#include <vector>

#include "neural/hyper_density.h"
#include "neural/learned_codec.h"
#include "prob/static_table.h"

namespace sluice {

/// One integer table per hyper channel, from the trained density. Made once, when a codec is saved; both ends read the
/// stored integers and never the density.
Result<std::vector<StaticTable>> MakeHyperTables(HyperDensityImpl& density, int precision);

/// All tables of a codec's side symbols: one for each channel of z, and the class's behind them.
Result<std::vector<StaticTable>> MakeSideTables(LearnedCodecImpl& codec);

/// A table as an int32 tensor: first symbol, then the frequencies, the escape's last.
torch::Tensor TableToTensor(const StaticTable& table);

/// Inverse of TableToTensor for untrusted input. Errors: Corrupt.
Result<StaticTable> TableFromTensor(const torch::Tensor& tensor, int precision);

}  // namespace sluice

#endif  // SLUICE_NEURAL_HYPER_TABLES_H_
