# Stands for OpenWrt's package.mk: BuildPackage makes targets that install a package's files into
# DEST and print what it says of itself. CONFIGURE_ARGS and the installed tree are the test's.
define BuildPackage
$(eval $(call Package/$(1)))
$(eval what_$(1) := $(TITLE)|$(DEPENDS)|$(USERID)|$(SECTION)|$(CATEGORY))
.PHONY: install-$(1) show-$(1)
install-$(1):
$(call Package/$(1)/install,$(DEST))
show-$(1):
	@echo '$(what_$(1))'
endef
export CONFFILES=$(foreach p,lanthorn lanthorn-agent,$(Package/$(p)/conffiles))
export POSTINST=$(Package/lanthorn/postinst)
export PRERM=$(Package/lanthorn/prerm)
show-scripts:
	@printf '%s\n---\n%s\n' "$$POSTINST" "$$PRERM"
show-prerm:
	@printf '%s\n' "$$PRERM"
show-conffiles:
	@echo "$$CONFFILES"
show-source:
	@echo '$(PKG_NAME) $(PKG_VERSION) $(PKG_SOURCE) $(PKG_LICENSE) $(CONFIGURE_ARGS)'
