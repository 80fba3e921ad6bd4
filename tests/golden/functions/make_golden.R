# Golden values for times_stats.features.function_components: principal components of curves over distance.
# Usage: Rscript make_golden.R, from this folder.
# Writes curves.csv (input: one curve a row, columns the distances, unequally spaced), golden.csv, session_info.txt.
# Two routes that must agree: prcomp on columns scaled by the root of their trapezoid weights, and eigen on the
# discretised covariance operator C W phi = lambda phi (Ramsay and Silverman 2005, 8.4), which is not symmetric.
options(digits = 16)
set.seed(20261124)

r <- c(5, 10, 15, 20, 30, 40, 60, 80, 100)
n <- 25
curves <- outer(rnorm(n, sd = 3), sqrt(r)) + outer(rnorm(n, sd = 2), sin(r / 15)) +
  matrix(rnorm(n * length(r), sd = 0.4), n) + rep(0.1 * r, each = n)
curves <- round(curves, 6)
colnames(curves) <- r
write.csv(curves, "curves.csv", row.names = FALSE, quote = FALSE)

step <- diff(r)
weight <- (c(step, 0) + c(0, step)) / 2
positive <- function(phi) phi * ifelse(colSums(phi * weight) < 0, -1, 1)[col(phi)]

fit <- prcomp(sweep(curves, 2, sqrt(weight), "*"), center = TRUE)
phi <- positive(fit$rotation[, 1:3] / sqrt(weight))
share <- (fit$sdev^2 / sum(fit$sdev^2))[1:3]
scores <- sweep(curves, 2, colMeans(curves)) %*% (phi * weight)

solved <- eigen(cov(curves) %*% diag(weight))
other <- Re(solved$vectors[, 1:3])
other <- positive(sweep(other, 2, sqrt(colSums(other^2 * weight)), "/"))
stopifnot(max(abs(other - phi)) < 1e-8, max(abs(Re(solved$values[1:3]) / fit$sdev[1:3]^2 - 1)) < 1e-10)

long <- function(quantity, m) data.frame(quantity = quantity, row = c(row(m)), component = c(col(m)), value = c(m))
golden <- rbind(
  long("component", phi), long("score", scores), long("share", t(share)),
  data.frame(quantity = "mean", row = seq_along(r), component = 0, value = colMeans(curves)))
write.csv(golden, "golden.csv", row.names = FALSE, quote = FALSE)
writeLines(capture.output(sessionInfo()), "session_info.txt")
