# Golden values of the random-effects pooling: R metafor, one patient per call.
# Run in this folder: Rscript random_effects.R
# rma(method = "PM") gives the Paule-Mandel tau^2; rma(tau2 =) the pooled value with tau^2 fixed;
# rma.mv(V, random = ~ 1 | marker, sigma2 =) generalised least squares with correlated errors.
suppressMessages(library(metafor))
set.seed(1)
n <- 12; M <- 5
R <- 0.6 ^ abs(outer(1:M, 1:M, "-"))
rows <- list()
for (i in 1:n) {
  v <- rgamma(M, 3, 20); y <- rnorm(M, 0.3, sqrt(v + 0.2))
  pm <- rma(yi = y, vi = v, method = "PM", control = list(tol = 1e-12, maxiter = 1000))
  fixed <- rma(yi = y, vi = v, tau2 = 0.2)
  V <- diag(sqrt(v)) %*% R %*% diag(sqrt(v)); id <- factor(1:M)
  gls <- rma.mv(y, V, random = ~ 1 | id, sigma2 = 0.05)
  w <- rowSums(weights(gls, type = "matrix")); w <- w / sum(w)
  rows[[i]] <- c(i, y, v, pm$tau2, fixed$beta, fixed$se, weights(fixed) / 100,
                 gls$beta, gls$se, w)
}
out <- as.data.frame(do.call(rbind, rows))
names(out) <- c("patient", paste0("y", 1:M), paste0("v", 1:M), "tau2_pm", "fixed_value", "fixed_se",
                paste0("fixed_w", 1:M), "gls_value", "gls_se", paste0("gls_w", 1:M))
write.csv(format(out, digits = 15), "random_effects.csv", row.names = FALSE, quote = FALSE)
writeLines(capture.output(sessionInfo()), "random_effects_session.txt")
