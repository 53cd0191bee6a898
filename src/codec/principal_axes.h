#ifndef SLUICE_CODEC_PRINCIPAL_AXES_H_
#define SLUICE_CODEC_PRINCIPAL_AXES_H_

#include <functional>
#include <vector>

#include "base/view.h"

namespace sluice {

/// The orthonormal axes along which a symmetric positive matrix is diagonal.
struct PrincipalAxes {
  Matrix<double> axes;            ///< [d, d], one axis a row, the least variance first
  std::vector<double> variances;  ///< [d]
};

/// Data: covariance [d, d]. Cost: O(d^3) for each of about 8 sweeps: 5 s at d = 768. `sweep_done` is called after each
/// with its number; when it gives false the work ends early with what there is.
PrincipalAxes FindPrincipalAxes(const Matrix<double>& covariance, const std::function<bool(int)>& sweep_done);

}  // namespace sluice

#endif  // SLUICE_CODEC_PRINCIPAL_AXES_H_
