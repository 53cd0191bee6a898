#ifndef SLUICE_BASE_VIEW_H_
#define SLUICE_BASE_VIEW_H_

#include <cassert>
#include <cstddef>
#include <span>
#include <vector>

namespace sluice {

/// Borrowed row-major matrix, rows * cols contiguous elements: a hidden state is MatrixView<const float> [T, d].
template <typename T>
class MatrixView {
 public:
  MatrixView() = default;
  MatrixView(T* data, size_t rows, size_t cols) : data_(data), rows_(rows), cols_(cols) {}
  /// A mutable view converts to a const one.
  template <typename U>
    requires(!std::is_same_v<U, T> && std::is_convertible_v<U (*)[], T (*)[]>)
  MatrixView(const MatrixView<U>& other)  // NOLINT(google-explicit-constructor)
      : data_(other.data()), rows_(other.rows()), cols_(other.cols()) {}

  T* data() const { return data_; }
  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  size_t size() const { return rows_ * cols_; }
  std::span<T> row(size_t r) const {
    assert(r < rows_);
    return {data_ + r * cols_, cols_};
  }
  std::span<T> all() const { return {data_, size()}; }
  /// Rows [begin, end).
  MatrixView Rows(size_t begin, size_t end) const {
    assert(begin <= end && end <= rows_);
    return {data_ + begin * cols_, end - begin, cols_};
  }

 private:
  T* data_ = nullptr;
  size_t rows_ = 0;
  size_t cols_ = 0;
};

/// Owned row-major matrix.
template <typename T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(size_t rows, size_t cols) : rows_(rows), cols_(cols), data_(rows * cols) {}

  /// Another shape, with whatever elements. Cost: allocates only beyond the largest size so far.
  void Resize(size_t rows, size_t cols) {
    data_.resize(rows * cols);
    rows_ = rows;
    cols_ = cols;
  }

  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  T* data() { return data_.data(); }
  const T* data() const { return data_.data(); }
  std::span<T> row(size_t r) { return View().row(r); }
  std::span<const T> row(size_t r) const { return View().row(r); }
  MatrixView<T> View() { return {data_.data(), rows_, cols_}; }
  MatrixView<const T> View() const { return {data_.data(), rows_, cols_}; }

 private:
  size_t rows_ = 0;
  size_t cols_ = 0;
  std::vector<T> data_;
};

}  // namespace sluice

#endif  // SLUICE_BASE_VIEW_H_
